"""Supervise processes that do the same: fill every place at all times, replace who dies, pass on what signals ask.

Each process is started fresh, in a session of its own so that a terminal's signals reach the supervisor only, and
with a pipe as its standard input that closes when the supervisor ends, however it ends.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence

from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.shutdown import Shutdown

LOOK_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
HEALTHY_AFTER_S = 10.0
"""Who has lived so long was well: the next one is started without a pause."""
KILL_S = 5.0
"""Who was told twice to end is killed after so long."""

log = logging.getLogger("jobistemer")


class SupervisedProcess:
    """One process at a time, and those before it that have not ended yet."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = list(command)
        self._pause = FIRST_PAUSE_S
        self._started = self._again_at = 0.0
        self._ending: list[subprocess.Popen[bytes]] = []
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        self._started, self._again_at = time.monotonic(), 0.0
        self.process = subprocess.Popen(  # noqa: S603 - our own command line
            self._command, stdin=subprocess.PIPE, start_new_session=True
        )

    def restart(self) -> None:
        """Start another process at once; the one before ends in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self._ending.append(self.process)
        self._pause = FIRST_PAUSE_S
        self.start()

    def replace_if_ended(self) -> int | None:
        """Replace a process that has ended, after a pause when it ended soon; the code it ended with just now."""
        self._ending = [each for each in self._ending if each.poll() is None]
        code = self.process.poll() if self.process is not None else None
        if code is None:
            return None
        now = time.monotonic()
        if not self._again_at:
            healthy = code == 0 or now - self._started >= HEALTHY_AFTER_S
            self._pause = FIRST_PAUSE_S if healthy else min(self._pause * 2, LONGEST_PAUSE_S)
            self._again_at = now if code == 0 else now + self._pause
            return code
        if now >= self._again_at:
            self.start()
        return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to everybody here."""
        for each in self.alive():
            each.send_signal(number)

    def alive(self) -> list[subprocess.Popen[bytes]]:
        """The processes that live."""
        known = [*self._ending, *([self.process] if self.process is not None else [])]
        return [each for each in known if each.poll() is None]


class Supervisor:
    """Keeps one process for each command.

    once: a process that ends with exit code 0 has done its work and is not replaced. changed: asked now and then;
    when it says yes, every process is renewed.
    """

    def __init__(
        self, commands: Iterable[Sequence[str]], *, once: bool = False, changed: Callable[[], bool] | None = None
    ) -> None:
        self._supervised = [
            SupervisedProcess(f"process {number}", command) for number, command in enumerate(commands, 1)
        ]
        self.liveness = Liveness()
        self._once = once
        self._changed = changed
        self._forwarded: set[str] = set()
        self._quiet = False

    def run(self, shutdown: Shutdown) -> int:
        """Supervise until `shutdown` is requested and everybody has ended; the exit code."""
        with self.liveness.watch_thread("supervisor"):
            return self._run(shutdown)

    def _run(self, shutdown: Shutdown) -> int:
        for supervised in self._supervised:
            supervised.start()
        while not shutdown.requested.is_set() and self._supervised:
            self.liveness.touch()
            self._replace_ended()
            self._forward_signals(shutdown)
            shutdown.requested.wait(LOOK_S)
        killed_at = 0.0
        while any(supervised.alive() for supervised in self._supervised):
            self.liveness.touch()
            self._forward_signals(shutdown)
            if shutdown.immediate.is_set():
                killed_at = killed_at or time.monotonic() + KILL_S
            if killed_at and time.monotonic() >= killed_at:
                self._signal_all(signal.SIGKILL)
            time.sleep(LOOK_S)
        return 0

    def _replace_ended(self) -> None:
        if self._changed is not None and self._changed():
            log.info("files have changed: every process is renewed")
            for supervised in self._supervised:
                supervised.restart()
        for supervised in list(self._supervised):
            code = supervised.replace_if_ended()
            if code == 0 and self._once:
                self._supervised.remove(supervised)
            elif code is not None:
                log.log(
                    logging.INFO if code == 0 else logging.ERROR,
                    "%s %s; a new one is started",
                    supervised.name,
                    describe_exit(code),
                )

    def _forward_signals(self, shutdown: Shutdown) -> None:
        if shutdown.quiet.is_set():
            # Said with every look, since a process that is only starting cannot hear it yet.
            self._quiet = True
            self._signal_all(signal.SIGTSTP)
        elif self._quiet:
            self._quiet = False
            self._signal_all(signal.SIGCONT)
        # Two signals, not one twice: a process that has not got round to the first would see only one of them.
        signals = (("end", shutdown.requested, signal.SIGTERM), ("end now", shutdown.immediate, signal.SIGINT))
        for word, event, number in signals:
            if event.is_set() and word not in self._forwarded:
                self._forwarded.add(word)
                self._signal_all(number)

    def _signal_all(self, number: signal.Signals) -> None:
        for supervised in self._supervised:
            supervised.send_signal(number)


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
