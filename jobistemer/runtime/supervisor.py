"""Supervision of processes: replace each that ends, pass on signals, and end all of them in order.

Each process is started fresh, in a session of its own so that a terminal's signals reach the supervisor only, and
with a pipe as its standard input that closes when the supervisor ends, however it ends.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from jobistemer.runtime.child_process import ChildProcess
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.shutdown import Shutdown

POLL_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
HEALTHY_AFTER_S = 10.0
"""A process that ends after so many seconds was healthy: the pause before the next one does not grow."""
KILL_AFTER_S = 5.0
"""Seconds between the second request to end and SIGKILL."""

log = logging.getLogger("jobistemer")


class SupervisedProcess:
    """One process at a time, and its predecessors that have not ended yet.

    start: starts a process of this name and returns it.
    """

    def __init__(self, name: str, start: Callable[[], ChildProcess]) -> None:
        self.name = name
        self._start = start
        self._pause = FIRST_PAUSE_S
        self._started_at = self._restart_at = 0.0
        self._predecessors: list[ChildProcess] = []
        self.process: ChildProcess | None = None

    def start(self) -> None:
        """Start the process."""
        self._started_at, self._restart_at = time.monotonic(), 0.0
        self.process = self._start()

    def restart(self) -> None:
        """Start another process at once, and let the present one end in order."""
        if self.process is not None and self.process.exit_code is None:
            self.process.terminate()
            self._predecessors.append(self.process)
        self._pause = FIRST_PAUSE_S
        self.start()

    def replace_if_ended(self) -> int | None:
        """Replace the process if it has ended, after a pause that grows while processes fail soon after their start.

        Returns the exit code when the end is noticed, which is once for each process; else None.
        """
        self._predecessors = [each for each in self._predecessors if each.exit_code is None]
        code = self.process.exit_code if self.process is not None else None
        if code is None:
            return None
        now = time.monotonic()
        if not self._restart_at:
            healthy = code == 0 or now - self._started_at >= HEALTHY_AFTER_S
            # A process that fails at its start, again and again, would otherwise use up the machine.
            self._pause = FIRST_PAUSE_S if healthy else min(self._pause * 2, LONGEST_PAUSE_S)
            self._restart_at = now if code == 0 else now + self._pause
            return code
        if now >= self._restart_at:
            self.start()
        return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to its predecessors."""
        for each in self.list_alive():
            each.send_signal(number)

    def list_alive(self) -> list[ChildProcess]:
        """Return the processes that have not ended."""
        known = [*self._predecessors, *([self.process] if self.process is not None else [])]
        return [each for each in known if each.exit_code is None]


class Supervisor:
    """Keeps one process for each command running.

    once: a process that ends with exit code 0 has done its work and is not replaced. changed: is called ten times a
    second; when it returns True, every process is replaced.
    """

    def __init__(
        self, commands: Iterable[Sequence[str]], *, once: bool = False, changed: Callable[[], bool] | None = None
    ) -> None:
        named = [(f"process {number}", command) for number, command in enumerate(commands, 1)]
        self._supervised = [SupervisedProcess(name, partial(ChildProcess, name, command)) for name, command in named]
        self.liveness = Liveness()
        self._once = once
        self._changed = changed
        self._forwarded: set[signal.Signals] = set()
        self._quiet = False

    def run(self, shutdown: Shutdown) -> int:
        """Supervise until `shutdown` is requested and every process has ended. Returns the exit code."""
        with self.liveness.watch_thread("supervisor"):
            for supervised in self._supervised:
                supervised.start()
            self._supervise(shutdown)
            self._end(shutdown)
        return 0

    def _supervise(self, shutdown: Shutdown) -> None:
        while not shutdown.requested.is_set() and self._supervised:
            self.liveness.touch()
            self._replace_changed()
            self._replace_ended()
            self._forward_signals(shutdown)
            shutdown.requested.wait(POLL_S)

    def _end(self, shutdown: Shutdown) -> None:
        kill_at = 0.0
        while any(supervised.list_alive() for supervised in self._supervised):
            self.liveness.touch()
            self._forward_signals(shutdown)
            if shutdown.immediate.is_set():
                kill_at = kill_at or time.monotonic() + KILL_AFTER_S
            if kill_at and time.monotonic() >= kill_at:
                self._signal_all(signal.SIGKILL)
            time.sleep(POLL_S)

    def _replace_changed(self) -> None:
        if self._changed is not None and self._changed():
            log.info("files have changed: every process is replaced")
            for supervised in self._supervised:
                supervised.restart()

    def _replace_ended(self) -> None:
        for supervised in list(self._supervised):
            code = supervised.replace_if_ended()
            if code == 0 and self._once:
                self._supervised.remove(supervised)
            elif code is not None:
                level = logging.INFO if code == 0 else logging.ERROR
                log.log(level, "%s %s; a new one is started", supervised.name, describe_exit(code))

    def _forward_signals(self, shutdown: Shutdown) -> None:
        if shutdown.quiet.is_set():
            # Sent every time: a process that is only starting does not listen to signals yet.
            self._quiet = True
            self._signal_all(signal.SIGTSTP)
        elif self._quiet:
            self._quiet = False
            self._signal_all(signal.SIGCONT)
        # Two different signals, since the system merges two of one kind that a process has not handled yet.
        for event, number in ((shutdown.requested, signal.SIGTERM), (shutdown.immediate, signal.SIGINT)):
            if event.is_set() and number not in self._forwarded:
                self._forwarded.add(number)
                self._signal_all(number)

    def _signal_all(self, number: signal.Signals) -> None:
        for supervised in self._supervised:
            supervised.send_signal(number)


def describe_exit(code: int) -> str:
    """Return in words how a process ended."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
