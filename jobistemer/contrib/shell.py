"""The task `shell`: run a command, where the worker allows it (`jobistemer-worker --allow-shell …`).

    from jobistemer.contrib import shell

    run_command = shell.install(app)
    run_command.enqueue(["pg_dump", "shop"])

A list is a program with its arguments, and the program must be among those that the worker allows. A string is run by
a shell, so the shell must be.
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

from jobistemer.contrib.installing import TaskMaker
from jobistemer.core.builtin_tasks import ANY_PROGRAM, SHELL_TASK
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail

MAX_OUTPUT = 64 * 1024
"""How many bytes of the output are kept in the result, the last ones."""
LOOK_S = 0.1
GRACE_S = 3.0
"""What a command may take to end after SIGTERM, before its whole group is killed."""
_running: set[int] = set()


class ShellResult(msgspec.Struct, frozen=True):
    """What a command left: its exit code, the end of its output, and how many bytes of it were dropped before that."""

    exit_code: int
    output: str
    dropped: int = 0


class CommandFailed(Exception):
    """The command ended with an exit code that was not expected; tried again as the task's retry policy says."""


def install(app: TaskMaker, **options: Any) -> Any:
    """Give an app the task `shell`; its handle. options: as for `app.task`."""
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
    """Run a command; its output becomes lines of the run and, the last 64 KiB, part of the result.

    A time-out or a cancel ends its whole process group. env is added to the worker's own environment.
    Raises Fail for what the worker does not allow or cannot do, CommandFailed for an unexpected exit code.
    """
    arguments = command if isinstance(command, list) else [shell, "-c", command]
    environment = {**os.environ, **(env or {}), **_user_environment(user)}
    program = _allowed_program(arguments, ctx.permissions.shell, environment)
    process = _start_process([program, *arguments[1:]], environment, cwd, _target_user(user))
    _running.add(process.pid)
    try:
        output = _Output(ctx)
        _communicate(process, stdin.encode(), output, ctx)
    finally:
        # Also when the attempt was stopped in the middle: then an exception was raised in this very thread.
        _ensure_ended(process)
    code = process.returncode
    if code not in (expect or [0]):
        raise CommandFailed(f"the command ended with exit code {code}: {output.text()[-500:].strip() or 'no output'}")
    return ShellResult(code, output.text(), output.dropped)


def _allowed_program(arguments: list[str], allowed: tuple[str, ...], env: dict[str, str]) -> str:
    if not arguments or not arguments[0]:
        raise Fail("shell: the command is empty; give a program")
    if not allowed:
        raise Fail("shell: this worker runs no commands; start it with --allow-shell PROGRAM,… (or '*' for all)")
    found = shutil.which(arguments[0], path=env.get("PATH"))
    if found is None:
        raise Fail(f"shell: program {arguments[0]!r:.120} is not found on this worker")
    resolved = _resolve_program(found)
    # Names of the list are looked up on the worker's own PATH, never on one that came with the call.
    if ANY_PROGRAM in allowed or any(resolved == _resolve_program(shutil.which(each) or "") for each in allowed):
        return resolved
    raise Fail(f"shell: program {found!r} is not allowed on this worker; allowed are {', '.join(allowed)}")


def _resolve_program(program: str) -> str:
    # The folder is followed, so that /bin/sh is /usr/bin/sh; the program is not, since one file may be many programs.
    path = Path(program)
    return str(path.parent.resolve() / path.name) if program else ""


def _target_user(user: str | None) -> str | None:
    if user is None or user == pwd.getpwuid(os.geteuid()).pw_name:
        return None
    if os.geteuid() != 0:
        raise Fail(f"shell: only a worker that runs as root can run a command as {user!r:.60}")
    return user


def _user_environment(user: str | None) -> dict[str, str]:
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
        return subprocess.Popen(  # noqa: S603 - running commands is what this is for, and the list was looked at
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd or (entry.pw_dir if entry else None),
            start_new_session=True,
            user=entry.pw_uid if entry else None,
            group=entry.pw_gid if entry else None,
            extra_groups=os.getgrouplist(entry.pw_name, entry.pw_gid) if entry else None,
        )
    except (OSError, ValueError) as error:
        raise Fail(f"shell: {arguments[0]!r:.120} cannot be started: {error}") from None


class _Output:
    """The end of what a command says, and each whole line of it for the run's record."""

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
        # A line without an end must not grow for ever.
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
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdin, process.stdout):
            os.set_blocking(stream.fileno(), False)
        selector.register(process.stdout, selectors.EVENT_READ)
        if pending_input:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        else:
            process.stdin.close()
        # A command may leave a child behind that holds the pipe; it ends with the command itself.
        while selector.get_map() and not (process.poll() is not None and not _has_output(selector)):
            if ctx.ending not in ("", "shutdown"):
                break
            for key, _ in selector.select(LOOK_S):
                pending_input = _transfer(selector, key.fileobj, process, pending_input, output)  # type: ignore[arg-type]
    output.finish()
    while process.poll() is None and ctx.ending in ("", "shutdown"):
        time.sleep(LOOK_S)


def _has_output(selector: selectors.BaseSelector) -> bool:
    return any(events & selectors.EVENT_READ for _, events in selector.select(0))


def _transfer(
    selector: selectors.BaseSelector,
    stream: IO[bytes],
    process: subprocess.Popen[bytes],
    pending_input: bytes,
    output: _Output,
) -> bytes:
    if stream is process.stdout:
        part = os.read(stream.fileno(), 65_536)
        if part:
            output.add(part)
        else:
            selector.unregister(stream)
        return pending_input
    try:
        pending_input = pending_input[os.write(stream.fileno(), pending_input) :]
    except BrokenPipeError:
        pending_input = b""
    if not pending_input:
        selector.unregister(stream)
        stream.close()
    return pending_input


def _ensure_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        _end_group(process)
    except BaseException:
        # The stop of the attempt was raised in this thread just now, in the middle of this.
        _end_group(process)
        raise
    finally:
        _running.discard(process.pid)
        for stream in (process.stdin, process.stdout):
            with suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    # What a command that has ended by itself has left behind goes on, as under cron.
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
    # A worker that ends at once gives its runs back; their commands must not go on beside those of the next worker.
    for group in list(_running):
        _signal_group(group, signal.SIGKILL)
