"""The ticker of one shard as a timer: read the agenda, act, sleep until the next known instant or a wake-up."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec

from jobistemer.control.put_aside import mend_types, put_aside_and_log
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.repeat import retry_until_done
from jobistemer.store.calls import heartbeats
from jobistemer.store.continuity import Beat, Continuity
from jobistemer.store.database import Database
from jobistemer.store.reads.job_names import read_names
from jobistemer.store.wakeup import WakeListener
from jobistemer.ticker.alerts import raise_due_alerts
from jobistemer.ticker.chores import Chores
from jobistemer.ticker.deadlines import halt_overdue
from jobistemer.ticker.firing_pass import FiringPass
from jobistemer.ticker.metrics import ShardMetrics
from jobistemer.ticker.promote import promote_due
from jobistemer.ticker.start_queued import start_queued_occurrences
from jobistemer.ticker.sweep import Sweeper
from jobistemer.ticker.trim import Trimmer
from jobistemer.ticker.unaccounted import UnaccountedJobs
from jobistemer.ticker.upcoming import PATIENCE_MS, UpcomingJobs
from jobistemer.ticker.workers_check import WorkersCheck

EARLY_S = 0.003
"""How long before an instant a ticker wakes up: a wait for wake-ups may end up to two milliseconds late."""
CLEAR_S = 0.1
"""In so many seconds before an instant a ticker takes no full look."""
MAX_PUT_OFF_S = 1.0
"""How long a full look waits for that at the most."""
POLL_LIMIT = 20_000
"""How many due jobs one look lists; the next look lists the rest."""
LATE_MINUTES = 5
"""The status of a ticker has the most by which an occurrence was late within so many minutes."""
RETRY_S = 0.5
"""How many seconds pass before an instant is claimed again whose claim the server has refused."""
POLL_LATE_S = 10.0
"""How many seconds a look may be overdue before the ticker no longer counts as ready."""

log = logging.getLogger("jobistemer.ticker")


class ShardTicker:
    """The ticker of one shard."""

    def __init__(
        self,
        database: Database,
        settings: TickerSettings,
        identity: str,
        liveness: Liveness | None = None,
        metrics: ShardMetrics | None = None,
        continuity: Continuity | None = None,
    ) -> None:
        self._database = database
        self._clock = database.clock
        database.mend, database.put_aside = mend_types, put_aside_and_log
        self._continuity = continuity or Continuity()
        self._settings = settings
        self._id = identity
        self._liveness = liveness or Liveness()
        self._metrics = metrics
        self.upcoming = UpcomingJobs()
        self._workers = WorkersCheck(database)
        self._chores = Chores(database)
        self._sweeper = Sweeper(database)
        self._trimmer = Trimmer(database)
        # The agenda as of the last look.
        self._delayed: list[tuple[str, int]] = []
        self._deadlines: list[tuple[str, int]] = []
        self._expected: list[tuple[str, int]] = []
        self._starts: list[str] = []
        self._next_poll = 0.0
        self._horizon_ms = 0
        # What the last look has left on the server, and what the next one is to find there.
        self._last_beat: Beat | None = None
        self._status = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": database.clock.now_ms()}
        self._fired = self._late_ms_max = 0
        self._late_by_minute: dict[int, int] = {}
        # Written by this thread, and read by the one that answers whether the ticker is ready.
        self._polled_at: float | None = None
        self._held_ms = 0
        self.unaccounted = UnaccountedJobs()

    def reasons_not_ready(self) -> list[str]:
        """Return the reasons why this ticker is not ready; empty when it is."""
        found = [f"job {name} is due and no ticker decides it" for name in self.unaccounted.jobs.values()]
        if self._polled_at is None or time.monotonic() - self._polled_at > POLL_LATE_S + self._settings.pass_s:
            found.append("it has not read the agenda lately; does the server answer?")
        if self._held_ms:
            found.append(f"the server's clock has leapt by {self._held_ms / 1000:g} s and is not believed yet")
        return found

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        listener = WakeListener(self._database)
        # Listening begins before the first look: a wake-up between the two would be lost otherwise.
        retry_until_done(listener.listen, stop, f"ticker {self._id}")
        self._database.load_scripts()
        self.upcoming.patience_ms = PATIENCE_MS
        self._liveness.repeat(lambda: self._step(listener), stop, f"ticker {self._id}")
        listener.close()
        with suppress(NotConnected, ServerRefused):
            heartbeats.forget_ticker(self._database, self._id)

    def tick(self) -> int:
        """Take one pass over everything that is due now, without sleeping. Returns how many occurrences it decided."""
        self.poll(full=True)
        self._chores.refresh()
        return self.process_due()

    def poll(self, *, full: bool) -> None:
        """Read the agenda and, when `full`, the definitions of jobs that are due soon and not known yet."""
        # Here rather than once a pass: while thousands of instants are worked off, each look is a sign of life.
        self._liveness.touch()
        database = self._database
        now_ms = database.read_clock()
        if full:
            self._next_poll = time.monotonic() + self._settings.pass_s
            self._horizon_ms = now_ms + round(self._settings.horizon_s * 1000)
        limit = POLL_LIMIT if full else 0
        beat = heartbeats.beat_ticker(database.keys, self._id, now_ms, self._encode_status(), self._horizon_ms, limit)
        agenda = heartbeats.read_agenda(database.keys, database.call(beat))
        last, self._last_beat = self._last_beat, Beat(agenda.identity, now_ms)
        found = Beat(agenda.identity, agenda.found_ms)
        if (found != last or self._continuity.doubt) and self._continuity.observe(last, found):
            # Jobs of before may be gone, or may have other versions: all of them are read anew.
            last_jobs = self.upcoming
            self.upcoming = UpcomingJobs(last_jobs.share, last_jobs.patience_ms, claims_ahead=last_jobs.claims_ahead)
            self._next_poll = 0.0 if not full else self._next_poll
        if agenda.unreadable:
            put_aside_and_log(database, agenda.unreadable)
        self._delayed = agenda.delayed
        self._deadlines = agenda.deadlines
        self._expected = agenda.expected
        self._starts = agenda.starts
        if self._id in agenda.tickers and agenda.tickers != self.upcoming.share.tickers:
            self.upcoming.divide(self._id, agenda.tickers)
        self.upcoming.learn(database, agenda.due, now_ms, self._horizon_ms)
        held_ms = getattr(database.clock, "held_ms", 0)
        if bool(held_ms) != bool(self._held_ms):
            self._log_clock_leap(held_ms)
        self._held_ms = held_ms
        if full:
            self._polled_at = time.monotonic()
            names = partial(read_names, database)
            self.unaccounted.observe(agenda.due, now_ms, self.upcoming.grace_ms, self.upcoming.untried, names)

    def process_due(self) -> int:
        """Fire, promote and halt what is due, start queued occurrences. Returns how many occurrences were decided."""
        firing = FiringPass(self._database, self._settings.catch_up, self._metrics)
        firing.run(self.upcoming, self._horizon_ms)
        self._fired += firing.claimed
        self._late_ms_max = max(self._late_ms_max, firing.late_ms)
        minute = self._database.clock.now_ms() // 60_000
        self._late_by_minute[minute] = max(self._late_by_minute.get(minute, 0), firing.late_ms)
        self._trimmer.remember(firing.grown)
        if firing.replan or firing.timed:
            self._next_poll = 0.0
        elif firing.refused:
            self._next_poll = min(self._next_poll, time.monotonic() + RETRY_S)
        if firing.replaced:
            self._chores.refresh()
        # The agenda lists only the first of each kind, so each of these goes on until a look finds none that is due.
        if self._delayed:
            self._work_off("_delayed", promote_due)
        if self._deadlines:
            self._work_off("_deadlines", halt_overdue)
        if self._expected:
            self._work_off("_expected", raise_due_alerts)
        # Before queued occurrences are started: one that was replaced meanwhile must not begin.
        if self._chores.run_due():
            self._next_poll = 0.0
        start_queued_occurrences(self._database, self._starts)
        self._starts = []
        return firing.claimed

    def _work_off(self, listed: str, act: Callable[[Database, list[tuple[str, int]]], int]) -> None:
        while act(self._database, before := getattr(self, listed)):
            self.poll(full=False)
            if getattr(self, listed) == before:
                # Nothing has moved: asking again at once would be an endless loop, so the next full look tries again.
                text = "%d of %s could not be moved on; the next look tries again"
                log_limited(log, logging.ERROR, listed, text, len(before), listed.strip("_"))
                setattr(self, listed, [])
                return

    def _step(self, listener: WakeListener) -> None:
        try:
            self._run_pass(listener)
        except BaseException:
            # Jobs whose claims were under way when the connection broke are unknown, so everything is read anew. The
            # listener may still be connected to a server that hangs, or that is no longer the primary.
            self._next_poll = 0.0
            listener.close()
            raise

    def _run_pass(self, listener: WakeListener) -> None:
        if self.must_poll:
            listener.listen()
            is_first = self._last_beat is None
            self.poll(full=True)
            if is_first:
                heartbeats.announce_ticker(self._database)
            self._chores.refresh()
            self.upcoming.claims_ahead = bool(self.upcoming.jobs) and self._workers.all_wait()
            _run_apart("sweep", self._sweeper.sweep_if_due)
            _run_apart("trim", self._trimmer.trim_if_due)
        else:
            self._sleep_until_due()
        self.process_due()
        # In a moment in which nothing is due: at the instant itself, bytes that lie ready are sent.
        if not self.upcoming.put_off_s(self._clock):
            self.upcoming.prepare_claims(self._database.keys)
        words = listener.wait(self._seconds_to_sleep())
        if "job" in words:
            self._next_poll = 0.0
        elif words:
            self.poll(full=False)

    def _sleep_until_due(self) -> None:
        """Sleep through the last milliseconds before the next instant; return at once when it is farther away."""
        job_ms, next_ms = self.upcoming.next_ms(), self.next_ms()
        if job_ms is not None and self._clock.seconds_until(job_ms) <= EARLY_S:
            # Asked again right before firing: should the server's clock have stepped back, nothing is fired early.
            self._database.read_clock()
        if next_ms is not None and 0 < (left := self._clock.seconds_until(next_ms)) <= EARLY_S:
            time.sleep(left)

    def _log_clock_leap(self, held_ms: int) -> None:
        if held_ms:
            log.warning(
                "the server's clock has leapt ahead by %.1f s: the time before is used until the leap has lasted %g s; "
                "a ticker that is started anew believes it at once",
                held_ms / 1000,
                self._settings.jump_hold_s,
            )
        else:
            log.warning("the server's clock is believed again")

    def next_ms(self) -> int | None:
        """Return the first ms at which there will be work, as far as the last look has shown, or None."""
        ordered = (self._delayed, self._deadlines, self._expected)
        instants = [self.upcoming.next_ms(), self._chores.next_ms(), *(each[0][1] for each in ordered if each)]
        return min((each for each in instants if each is not None), default=None)

    @property
    def must_poll(self) -> bool:
        """Return whether it is time for a full look: the last one is too long ago, or has proved wrong."""
        overdue_s, next_ms = time.monotonic() - self._next_poll, self.upcoming.next_ms()
        # Not in the last moments before an instant, since a look at thousands of jobs takes a while, and not right
        # after it. One that has proved wrong does not wait.
        is_near = next_ms is not None and 0 < self._clock.seconds_until(next_ms) < CLEAR_S
        return overdue_s >= 0 and not (overdue_s < MAX_PUT_OFF_S and (is_near or self.upcoming.put_off_s(self._clock)))

    def _seconds_to_sleep(self) -> float:
        put_off_s = self.upcoming.put_off_s(self._clock)
        if self.upcoming.has_unprepared and not put_off_s:
            return 0.0
        until_poll, instant = self._next_poll - time.monotonic(), self.next_ms()
        if put_off_s and not self.must_poll:
            until_poll = put_off_s
        if instant is None:
            return max(0.0, until_poll)
        until_instant = self._clock.seconds_until(instant) - EARLY_S
        is_put_off = until_poll <= 0 and not self.must_poll
        return max(0.0, until_instant if is_put_off else min(until_poll, until_instant))

    def _encode_status(self) -> bytes:
        first = self._database.clock.now_ms() // 60_000 - LATE_MINUTES
        self._late_by_minute = {minute: most for minute, most in self._late_by_minute.items() if minute > first}
        counts = {"fired": self._fired, "late_ms_max": self._late_ms_max, "prepared": len(self.upcoming.jobs)}
        counts["late_ms_recent"] = max(self._late_by_minute.values(), default=0)
        counts |= {"unaccounted": len(self.unaccounted.jobs), "held_ms": self._held_ms}
        offset = getattr(self._database.clock, "offset_ms", 0)
        return msgspec.json.encode({**self._status, **counts, "offset_ms": offset})


def _run_apart(name: str, step: Callable[[], object]) -> None:
    try:
        step()
    except (NotConnected, ServerRefused):
        raise
    except Exception as error:  # noqa: BLE001 - what one record has in it holds up nothing else
        log_limited(log, logging.ERROR, f"{name} {error!r}", "%s: %r; the next one tries again", name, error)
