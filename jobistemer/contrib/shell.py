"""The task `shell`: runs a command, where the worker allows it (`jobistemer-worker --allow-shell …`).

    from jobistemer.contrib import shell

    run_command = shell.install(app)
    run_command.enqueue(["pg_dump", "shop"])

A list is a program with its arguments; the program must be among those that the worker allows. A string is run by a
shell; then the shell must be among them.
"""

from __future__ import annotations

import atexit
import os
import pwd
import selectors
import shutil
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from jobistemer.contrib.app_protocol import TaskMaker
from jobistemer.core.builtin_tasks import ANY_PROGRAM, SHELL_TASK
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail

MAX_OUTPUT = 64 * 1024
"""The bytes at the end of the output that are kept in the result."""
POLL_S = 0.1
GRACE_S = 3.0
"""The seconds that a command has to end after SIGTERM, before its whole process group is killed."""
_running: set[int] = set()
"""The process groups of the commands that run."""


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

    A timeout or a cancel ends its whole process group. env: added to the worker's own environment. user: the user that
    runs the command; only a worker that runs as root can change it. expect: the exit codes that are a success.
    Raises Fail for a command that the worker does not allow or cannot start, CommandFailed for an unexpected exit code.
    """
    arguments = command if isinstance(command, list) else [shell, "-c", command]
    environment = {**os.environ, **(env or {}), **_build_user_environment(user)}
    program = _find_allowed_program(arguments, ctx.permissions.shell, environment)
    process = _start_process([program, *arguments[1:]], environment, cwd, _check_user(user))
    _running.add(process.pid)
    try:
        output = _Output(ctx)
        _communicate(process, stdin.encode(), output, ctx)
    finally:
        # Also when the attempt was stopped: a timeout or a cancel raises an exception at any line of this thread.
        _ensure_ended(process)
    code = process.returncode
    if code not in (expect or [0]):
        raise CommandFailed(f"the command ended with exit code {code}: {output.text()[-500:].strip() or 'no output'}")
    return ShellResult(code, output.text(), output.dropped)


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


def _start_process(
    arguments: list[str], env: dict[str, str], cwd: str | None, user: str | None
) -> subprocess.Popen[bytes]:
    entry = pwd.getpwnam(user) if user is not None else None
    try:
        return subprocess.Popen(  # noqa: S603 - this task exists to run commands, and the program was checked
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd or (entry.pw_dir if entry else None),
            # A process group of its own, so that the command ends with all its children.
            start_new_session=True,
            user=entry.pw_uid if entry else None,
            group=entry.pw_gid if entry else None,
            extra_groups=os.getgrouplist(entry.pw_name, entry.pw_gid) if entry else None,
        )
    except (OSError, ValueError) as error:
        raise Fail(f"shell: {arguments[0]!r:.120} cannot be started: {error}") from None


class _Output:
    """The output of a command: keeps its end, and writes each complete line to the log of the run."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._line = b""
        self.dropped = 0

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        while self._size > MAX_OUTPUT + len(self._parts[0]):
            self._drop(self._parts.popleft())
        *lines, self._line = (self._line + part).split(b"\n")
        for line in lines:
            self._ctx.log(line.decode(errors="replace"))
        # Output without line ends must not fill the memory.
        self._line = self._line[-MAX_OUTPUT:]

    def finish(self) -> None:
        if self._line:
            self._ctx.log(self._line.decode(errors="replace"))
        whole = b"".join(self._parts)
        self._parts = deque([whole[-MAX_OUTPUT:]])
        self.dropped += max(0, len(whole) - MAX_OUTPUT)

    def text(self) -> str:
        return b"".join(self._parts).decode(errors="replace")

    def _drop(self, part: bytes) -> None:
        self._size -= len(part)
        self.dropped += len(part)


def _communicate(process: subprocess.Popen[bytes], pending_input: bytes, output: _Output, ctx: Context) -> None:
    # Both pipes by one selector: to write all the input first would block for ever on a command that waits until its
    # output is read.
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None  # noqa: S101, PT018 - both are pipes
    with selectors.DefaultSelector() as selector:
        os.set_blocking(stdin.fileno(), False)
        os.set_blocking(stdout.fileno(), False)
        selector.register(stdout, selectors.EVENT_READ)
        if pending_input:
            selector.register(stdin, selectors.EVENT_WRITE)
        else:
            stdin.close()
        # The end of the command counts, not that of the pipe: a child that it left behind may keep the pipe open.
        while selector.get_map() and not (process.poll() is not None and not _has_output(selector)):
            if not _may_continue(ctx):
                break
            ready = [key.fileobj for key, _ in selector.select(POLL_S)]
            if stdout in ready:
                _read_output(selector, stdout, output)
            if stdin in ready:
                pending_input = _write_input(selector, stdin, pending_input)
    output.finish()
    while process.poll() is None and _may_continue(ctx):
        time.sleep(POLL_S)


def _may_continue(ctx: Context) -> bool:
    # A worker that shuts down lets its attempts end; for any other reason the command has to end now.
    return ctx.ending in ("", "shutdown")


def _has_output(selector: selectors.BaseSelector) -> bool:
    return any(events & selectors.EVENT_READ for _, events in selector.select(0))


def _read_output(selector: selectors.BaseSelector, stdout: IO[bytes], output: _Output) -> None:
    part = os.read(stdout.fileno(), 65_536)
    if part:
        output.add(part)
    else:
        selector.unregister(stdout)


def _write_input(selector: selectors.BaseSelector, stdin: IO[bytes], pending_input: bytes) -> bytes:
    """Write as much input as the pipe takes. Returns the rest."""
    try:
        rest = pending_input[os.write(stdin.fileno(), pending_input) :]
    except BrokenPipeError:
        # The command does not read its input, which is its own affair.
        rest = b""
    if not rest:
        selector.unregister(stdin)
        stdin.close()
    return rest


def _ensure_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        _end_group(process)
    except BaseException:
        # The stop of the attempt was raised inside the call above: once more, since the group may still run.
        _end_group(process)
        raise
    finally:
        _running.discard(process.pid)
        _close_stream(process.stdin)
        _close_stream(process.stdout)


def _close_stream(stream: IO[bytes] | None) -> None:
    # Closing flushes: a command that has ended does not read that any more.
    with suppress(OSError, ValueError):
        if stream is not None:
            stream.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    # A command that has ended by itself may leave children running, as under cron.
    if process.poll() is not None:
        return
    _signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


@atexit.register
def _kill_running() -> None:
    # A worker that exits hands its runs back; their commands must not run beside those of the next worker.
    for group in list(_running):
        _signal_group(group, signal.SIGKILL)
