"""The command of the task `shell` as a process: its guard, its input and output, its end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from jobistemer.contrib.shell_guard import GRACE_S
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail

MAX_OUTPUT = 64 * 1024
"""The bytes at the end of the output that are kept in the result."""
POLL_S = 0.1
_GUARD = Path(__file__).with_name("shell_guard.py")
_MARGIN_S = 2.0
"""The seconds that a guard has beyond the grace of its command."""


class Identity(NamedTuple):
    """The user that a command runs as."""

    user: int
    group: int
    groups: tuple[int, ...]


class ShellCommand:
    """A command that runs below its guard. `poll` tells whether it runs, `end` ends it with all its descendants."""

    def __init__(self, arguments: list[str], env: dict[str, str], cwd: str | None, identity: Identity | None) -> None:
        """Start it. Raises Fail when it cannot be started."""
        # Unless the guard says another: it was killed, by the command or by a lack of memory.
        self.exit_code = -signal.SIGKILL.value
        self._guard: subprocess.Popen[bytes] | None = None
        control, self._control = os.pipe()
        reader, status = os.pipe()
        self._status = open(reader, "rb")  # noqa: PTH123, SIM115 - a descriptor, closed with the command
        numbers = ",".join(map(str, (identity.user, identity.group, *identity.groups))) if identity else ""
        prefix = [sys.executable, "-I", "-S", str(_GUARD), str(control), str(status), cwd or "", numbers]
        try:
            self._start([*prefix, *arguments], env, (control, status))
        except (OSError, ValueError) as error:
            raise Fail(f"shell: {arguments[0]!r:.120} cannot be started: {error}") from None
        finally:
            os.close(control)
            os.close(status)
        self._await_start(arguments[0])

    @property
    def streams(self) -> tuple[IO[bytes], IO[bytes]]:
        """The input and the output of the command."""
        assert self._guard is not None  # noqa: S101 - set by __init__
        assert self._guard.stdin is not None  # noqa: S101 - a pipe
        assert self._guard.stdout is not None  # noqa: S101 - a pipe
        return self._guard.stdin, self._guard.stdout

    def poll(self) -> bool:
        """Return whether the command has ended."""
        return self._guard is None or self._guard.poll() is not None

    def end(self) -> None:
        """End the command and all that it started, also what made a session of its own. Closes the pipes."""
        try:
            self._stop()
        except BaseException:
            # The stop of the attempt was raised inside the call above: once more, since the command may still run.
            self._stop()
            raise
        finally:
            self._close()

    def _start(self, arguments: list[str], env: dict[str, str], pipes: tuple[int, int]) -> None:
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - this task exists to run commands, and the program was checked
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=env,
                pass_fds=pipes,
                # Signals for the worker's group, such as that of Ctrl-C, are none for the command.
                start_new_session=True,
            )
        except BaseException:
            # Also when the stop of the attempt is raised in here: a guard that has begun ends when its pipe closes.
            self._close()
            raise

    def _await_start(self, program: str) -> None:
        word, reason = "", ""
        try:
            word, _, reason = self._status.readline().decode(errors="replace").strip().partition(" ")
        finally:
            if word != "started":
                self.end()
        if word != "started":
            raise Fail(f"shell: {program!r:.120} cannot be started: {reason or 'its guard ended'}")

    def _stop(self) -> None:
        if self._guard is None:
            return
        if not self.poll():
            with suppress(OSError):
                os.write(self._control, b"T")
            if not self._has_ended_within(GRACE_S + _MARGIN_S):
                self._close_control()
                self._has_ended_within(_MARGIN_S)
            self._guard.kill()
        self._guard.wait()

    def _has_ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.poll() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.poll()

    def _close_control(self) -> None:
        control, self._control = self._control, -1
        if control >= 0:
            os.close(control)

    def _close(self) -> None:
        self._close_control()
        if not self._status.closed:
            if self._guard is not None:
                self._read_exit_code()
            self._status.close()
        if self._guard is not None:
            _close_stream(self._guard.stdin)
            _close_stream(self._guard.stdout)

    def _read_exit_code(self) -> None:
        words = self._status.readline().split()
        if words[:1] == [b"exit"]:
            self.exit_code = int(words[1])


class Output:
    """The output of a command: keeps its end, and writes each complete line to the log of the run."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._line = b""
        self.dropped = 0

    def add(self, part: bytes) -> None:
        """Take the next part of the output."""
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
        """Log what is left of the last line, and keep no more than the end."""
        if self._line:
            self._ctx.log(self._line.decode(errors="replace"))
        whole = b"".join(self._parts)
        self._parts = deque([whole[-MAX_OUTPUT:]])
        self.dropped += max(0, len(whole) - MAX_OUTPUT)

    def text(self) -> str:
        """Return what was kept."""
        return b"".join(self._parts).decode(errors="replace")

    def _drop(self, part: bytes) -> None:
        self._size -= len(part)
        self.dropped += len(part)


def communicate(command: ShellCommand, pending_input: bytes, output: Output, ctx: Context) -> None:
    """Write the input and read the output until the command ends or the attempt has to."""
    # Both pipes by one selector: to write all the input first would block for ever on a command that waits until its
    # output is read.
    stdin, stdout = command.streams
    with selectors.DefaultSelector() as selector:
        os.set_blocking(stdin.fileno(), False)
        os.set_blocking(stdout.fileno(), False)
        selector.register(stdout, selectors.EVENT_READ)
        if pending_input:
            selector.register(stdin, selectors.EVENT_WRITE)
        else:
            stdin.close()
        # The end of the command counts, not that of the pipe: a child that it left behind may keep the pipe open.
        while selector.get_map() and not (command.poll() and not _has_output(selector)):
            if not _may_continue(ctx):
                break
            ready = [key.fileobj for key, _ in selector.select(POLL_S)]
            if stdout in ready:
                _read_output(selector, stdout, output)
            if stdin in ready:
                pending_input = _write_input(selector, stdin, pending_input)
    output.finish()
    while not command.poll() and _may_continue(ctx):
        time.sleep(POLL_S)


def _may_continue(ctx: Context) -> bool:
    # A worker that shuts down lets its attempts end; for any other reason the command has to end now.
    return ctx.ending in ("", "shutdown")


def _has_output(selector: selectors.BaseSelector) -> bool:
    return any(events & selectors.EVENT_READ for _, events in selector.select(0))


def _read_output(selector: selectors.BaseSelector, stdout: IO[bytes], output: Output) -> None:
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


def _close_stream(stream: IO[bytes] | None) -> None:
    # Closing flushes: a command that has ended does not read that any more.
    with suppress(OSError, ValueError):
        if stream is not None:
            stream.close()
