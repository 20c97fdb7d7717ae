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

from jobistemer.runtime.liveness import Vitals
from jobistemer.runtime.shutdown import Stopping

LOOK_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
WELL_S = 10.0
"""Who has lived so long was well: the next one is started without a pause."""
KILL_S = 5.0
"""Who was told twice to end is killed after so long."""

log = logging.getLogger("jobistemer")


class Place:
    """One process at a time, and those before it that have not ended yet."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = list(command)
        self._pause = FIRST_PAUSE_S
        self._started = self._again_at = 0.0
        self._leaving: list[subprocess.Popen[bytes]] = []
        self.process: subprocess.Popen[bytes] | None = None

    def fill(self) -> None:
        """Start the process."""
        self._started, self._again_at = time.monotonic(), 0.0
        self.process = subprocess.Popen(  # noqa: S603 - our own command line
            self._command, stdin=subprocess.PIPE, start_new_session=True
        )

    def renew(self) -> None:
        """Start another process at once; the one before ends in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self._leaving.append(self.process)
        self._pause = FIRST_PAUSE_S
        self.fill()

    def tend(self) -> int | None:
        """Replace a process that has ended, after a pause when it ended soon; the code it ended with just now."""
        self._leaving = [each for each in self._leaving if each.poll() is None]
        code = self.process.poll() if self.process is not None else None
        if code is None:
            return None
        now = time.monotonic()
        if not self._again_at:
            well = code == 0 or now - self._started >= WELL_S
            self._pause = FIRST_PAUSE_S if well else min(self._pause * 2, LONGEST_PAUSE_S)
            self._again_at = now if code == 0 else now + self._pause
            return code
        if now >= self._again_at:
            self.fill()
        return None

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to everybody here."""
        for each in self.everybody():
            each.send_signal(number)

    def everybody(self) -> list[subprocess.Popen[bytes]]:
        """The processes that live."""
        known = [*self._leaving, *([self.process] if self.process is not None else [])]
        return [each for each in known if each.poll() is None]


class Supervisor:
    """Keeps one process for each command.

    once: a process that ends with exit code 0 has done its work and is not replaced. changed: asked now and then;
    when it says yes, every process is renewed.
    """

    def __init__(
        self, commands: Iterable[Sequence[str]], *, once: bool = False, changed: Callable[[], bool] | None = None
    ) -> None:
        self._places = [Place(f"process {number}", command) for number, command in enumerate(commands, 1)]
        self.vitals = Vitals()
        self._once = once
        self._changed = changed
        self._told: set[str] = set()
        self._quiet = False

    def run(self, stopping: Stopping) -> int:
        """Supervise until `stopping` is requested and everybody has ended; the exit code."""
        with self.vitals.watching("supervisor"):
            return self._run(stopping)

    def _run(self, stopping: Stopping) -> int:
        for place in self._places:
            place.fill()
        while not stopping.requested.is_set() and self._places:
            self.vitals.mark()
            self._tend()
            self._pass_on(stopping)
            stopping.requested.wait(LOOK_S)
        killed_at = 0.0
        while any(place.everybody() for place in self._places):
            self.vitals.mark()
            self._pass_on(stopping)
            if stopping.immediate.is_set():
                killed_at = killed_at or time.monotonic() + KILL_S
            if killed_at and time.monotonic() >= killed_at:
                self._tell(signal.SIGKILL)
            time.sleep(LOOK_S)
        return 0

    def _tend(self) -> None:
        if self._changed is not None and self._changed():
            log.info("files have changed: every process is renewed")
            for place in self._places:
                place.renew()
        for place in list(self._places):
            code = place.tend()
            if code == 0 and self._once:
                self._places.remove(place)
            elif code is not None:
                log.log(
                    logging.INFO if code == 0 else logging.ERROR,
                    "%s %s; a new one is started",
                    place.name,
                    ending(code),
                )

    def _pass_on(self, stopping: Stopping) -> None:
        if stopping.quiet.is_set():
            # Said with every look, since a process that is only starting cannot hear it yet.
            self._quiet = True
            self._tell(signal.SIGTSTP)
        elif self._quiet:
            self._quiet = False
            self._tell(signal.SIGCONT)
        # Two signals, not one twice: a process that has not got round to the first would see only one of them.
        asked = (("end", stopping.requested, signal.SIGTERM), ("end now", stopping.immediate, signal.SIGINT))
        for word, event, number in asked:
            if event.is_set() and word not in self._told:
                self._told.add(word)
                self._tell(number)

    def _tell(self, number: signal.Signals) -> None:
        for place in self._places:
            place.tell(number)


def ending(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
