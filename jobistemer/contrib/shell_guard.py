"""The program that stands between the task `shell` and a command, so that nothing that the command starts is left.

A command may leave its process group and its session, and a worker may be killed at any time. So the guard takes over
all descendants whose parents end (a "child subreaper" of Linux), finds them in /proc, and ends them when the worker
asks for it or is gone. It is executed as a file by `shell_process` and imports nothing but the standard library.

    python -I -S shell_guard.py CONTROL STATUS FOLDER IDENTITY PROGRAM ARGUMENT…

CONTROL: a pipe; a byte asks for the end, and its closing ends everything at once. STATUS: a pipe to which the guard
writes `started`, or `error` with a text, then `exit` with the exit code, negative for a signal. FOLDER: where the
command begins, or empty. IDENTITY: the numbers of user, group and further groups, separated by commas, or empty. Where
there is no /proc the command's process group is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

GRACE_S = 3.0
"""The seconds that a command and its descendants have to end after SIGTERM, before they are killed."""
_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.02
_MAX_SWEEPS = 100


def main() -> None:
    """Start the command and wait for its end, or end it."""
    control, status = int(sys.argv[1]), int(sys.argv[2])
    for descriptor in (control, status):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no name
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child, error = _start(sys.argv[3], sys.argv[4], sys.argv[5:])
    _report(status, f"error {error}" if error else "started")
    if error:
        return
    # The pipes of the command are its own: its reader must see that they are closed when the command closes them.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    _report(status, f"exit {_wait(child, control, wakeup)}")


def _start(folder: str, identity: str, command: list[str]) -> tuple[int, str]:
    """Start the command. Returns its process id and why it could not be started, empty when it was."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _become(folder, identity, command, writer)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor
        return child, pipe.read().decode(errors="replace")


def _become(folder: str, identity: str, command: list[str], writer: int) -> None:
    try:
        os.setsid()
        # Python ignores these two; a command expects the defaults.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if identity:
            user, group, *groups = [int(each) for each in identity.split(",")]
            os.setgroups(groups)
            os.setgid(group)
            os.setuid(user)
        if folder:
            os.chdir(folder)
        os.execv(command[0], command)  # noqa: S606 - the task exists to run commands, and the program was checked
    except BaseException as error:  # noqa: BLE001 - whatever it is: two guards must not go on
        os.write(writer, str(error).encode(errors="replace"))
    finally:
        os._exit(127)


def _wait(child: int, control: int, wakeup: int) -> int:
    """Wait until the command ends, or end it with all its descendants. Returns its exit code."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        ended = _reap(child)
        if ended is not None:
            # A command that ends by itself may leave children running, as under cron.
            return ended
        ready = [descriptor for descriptor, _ in poll.poll()]
        if wakeup in ready:
            os.read(wakeup, 4096)
        if control in ready:
            return _end(child, control, _is_asked(control))


def _is_asked(control: int) -> bool:
    # False: the worker is gone.
    return bool(os.read(control, 1))


def _end(child: int, control: int, asked: bool) -> int:  # noqa: FBT001 - read where it is called
    code = None
    if asked:
        _signal_all(_find_descendants(child), signal.SIGTERM, child)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and not select.select([control], [], [], _POLL_S)[0]:
            ended = _reap(child)
            code = ended if code is None else code
            if code is not None and not _find_descendants(child):
                return code
    _kill_all(child)
    for _ in range(_MAX_SWEEPS):
        ended = _reap(child)
        code = ended if code is None else code
        if code is not None and not _find_descendants(child):
            break
        time.sleep(_POLL_S)
    return -signal.SIGKILL if code is None else code


def _kill_all(child: int) -> None:
    """Kill all descendants. They are stopped first: what forks faster than it is found would go on for ever."""
    stopped: set[int] = set()
    for _ in range(_MAX_SWEEPS):
        found = _find_descendants(child) - stopped
        if not found:
            break
        _signal_all(found, signal.SIGSTOP, 0)
        stopped |= found
    _signal_all(stopped, signal.SIGKILL, child)


def _signal_all(processes: set[int], number: int, group: int) -> None:
    if group:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _find_descendants(child: int) -> set[int]:
    """Return the processes below this one that have not ended. Without /proc: the command itself."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib is not imported, this program begins often
    except OSError:
        return {child} if _is_running(child) else set()
    for name in names:
        if name.isdigit():
            _read_parent(name, parents)
    found, border = set[int](), {os.getpid()}
    while border:
        border = {process for process, parent in parents.items() if parent in border} - found
        found |= border
    return found


def _read_parent(name: str, parents: dict[int, int]) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
            state, parent = file.read().rpartition(b")")[2].split()[:2]
        if state not in (b"Z", b"X"):
            parents[int(name)] = int(parent)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reap(child: int) -> int | None:
    """Take note of all processes that have ended. Returns the exit code of the command when it is among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
    return code


def _report(status: int, text: str) -> None:
    # A worker that is gone does not read.
    with contextlib.suppress(BrokenPipeError):
        os.write(status, f"{text}\n".encode())


if __name__ == "__main__":
    main()
