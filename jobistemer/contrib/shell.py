"""The task `shell`: runs a command, where the worker allows it (`jobistemer-worker --allow-shell …`).

    from jobistemer.contrib import shell

    run_command = shell.install(app)
    run_command.enqueue(["pg_dump", "shop"])

A list is a program with its arguments; the program must be among those that the worker allows. A string is run by a
shell; then the shell must be among them.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import msgspec

from jobistemer.contrib.app_protocol import TaskMaker
from jobistemer.contrib.shell_process import Identity, Output, ShellCommand, communicate
from jobistemer.core.builtin_tasks import ANY_PROGRAM, SHELL_TASK, Permissions
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail

HANDED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR")
"""The variables of the worker's environment that commands get, besides LC_… and those that the operator names."""


class ShellResult(msgspec.Struct, frozen=True):
    """The result of a command: its exit code and the end of its output. dropped: the bytes of output before that."""

    exit_code: int
    output: str
    dropped: int = 0


class CommandFailed(Exception):
    """The command ended with an exit code that was not expected. The retry policy of the task decides what follows."""


def install(app: TaskMaker, **options: Any) -> Any:
    """Declare the task `shell` in an app. Returns its handle. options: as for `app.task`."""
    return app.task(name=SHELL_TASK, **options)(shell)


def shell(
    ctx: Context,
    command: str | list[str],
    *,
    stdin: str = "",
    env: dict[str, str] | None = None,
    cwd: str | None = None,
    shell: str = "/bin/sh",
    user: str | None = None,
    expect: list[int] | None = None,
) -> ShellResult:
    """Run a command. Its output is written to the log of the run; the last 64 KiB are part of the result.

    A timeout or a cancel ends it with all that it started. env: variables that the worker allows by name; of the
    worker's own environment a command gets `HANDED_ON` and what the operator adds. user: the user that runs the
    command; only a worker that runs as root can change it. expect: the exit codes that are a success.
    Raises Fail for a command that the worker does not allow or cannot start, CommandFailed for an unexpected exit code.
    """
    arguments = command if isinstance(command, list) else [shell, "-c", command]
    environment = {**_build_environment(ctx.permissions, env or {}), **_build_user_environment(user)}
    program = _find_allowed_program(arguments, ctx.permissions.shell, environment)
    given = _encode_input(stdin)
    process = ShellCommand([program, *arguments[1:]], environment, *_find_start(cwd, _check_user(user)))
    try:
        output = Output(ctx)
        communicate(process, given, output, ctx)
    finally:
        # Also when the attempt was stopped: a timeout or a cancel raises an exception at any line of this thread.
        process.end()
    code = process.exit_code
    if code not in (expect or [0]):
        raise CommandFailed(f"the command ended with exit code {code}: {output.text()[-500:].strip() or 'no output'}")
    return ShellResult(code, output.text(), output.dropped)


def _build_environment(permissions: Permissions, given: dict[str, str]) -> dict[str, str]:
    # A variable may choose the program as well as the command does: BASH_ENV, PATH, LD_PRELOAD, PYTHONPATH, GIT_SSH…
    # Where all programs are allowed, `env` is one of them, and names are of no use.
    allowed = permissions.shell_env
    refused = sorted(name for name in given if name not in allowed and ANY_PROGRAM not in permissions.shell)
    if refused:
        raise Fail(
            f"shell: variable {refused[0]!r:.60} is not allowed on this worker; allowed are "
            f"{', '.join(allowed) or 'none'} (--allow-shell-env NAME,…)"
        )
    # The rest of the worker's environment is its own, among it the password of the server.
    names = {*HANDED_ON, *permissions.shell_pass_env}
    own = {name: value for name, value in os.environ.items() if name in names or name.startswith("LC_")}
    return {"PATH": os.defpath, **own, **given}


def _encode_input(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Fail(f"shell: stdin has a character that is no text at position {error.start}") from None


def _find_allowed_program(arguments: list[str], allowed: tuple[str, ...], env: dict[str, str]) -> str:
    if not arguments or not arguments[0]:
        raise Fail("shell: the command is empty; give a program")
    if not allowed:
        raise Fail("shell: this worker runs no commands; start it with --allow-shell PROGRAM,… (or '*' for all)")
    path = shutil.which(arguments[0], path=env.get("PATH"))
    if path is None:
        raise Fail(f"shell: program {arguments[0]!r:.120} is not found on this worker")
    resolved = _resolve_program(path)
    # Allowed names are looked up in the worker's own PATH. The PATH in `env` comes from the caller, who could place any
    # program under an allowed name.
    if ANY_PROGRAM in allowed or any(resolved == _resolve_program(shutil.which(each) or "") for each in allowed):
        return resolved
    raise Fail(f"shell: program {path!r} is not allowed on this worker; allowed are {', '.join(allowed)}")


def _resolve_program(program: str) -> str:
    # Links in the folder are resolved, so that /bin/sh equals /usr/bin/sh. A link at the end is not: one file may be
    # many programs (busybox), and to allow one of them must not allow all.
    path = Path(program)
    return str(path.parent.resolve() / path.name) if program else ""


def _check_user(user: str | None) -> str | None:
    if user is None or user == pwd.getpwuid(os.geteuid()).pw_name:
        return None
    if os.geteuid() != 0:
        raise Fail(f"shell: only a worker that runs as root can run a command as {user!r:.60}")
    return user


def _build_user_environment(user: str | None) -> dict[str, str]:
    if user is None:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise Fail(f"shell: there is no user {user!r:.60} on this worker") from None
    return {"HOME": entry.pw_dir, "LOGNAME": user, "USER": user}


def _find_start(cwd: str | None, user: str | None) -> tuple[str | None, Identity | None]:
    """Return the folder that the command begins in, and who runs it; None for those of the worker."""
    if user is None:
        return cwd, None
    entry = pwd.getpwnam(user)
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return cwd or entry.pw_dir, Identity(entry.pw_uid, entry.pw_gid, groups)
