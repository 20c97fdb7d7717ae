"""The ticker as a timer: look, act, sleep until the next known instant or a wake-up."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import suppress
from functools import partial

import msgspec

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.planning.clock_jumps import JumpPolicy
from jobistemer.core.reads.metrics import Measure
from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.logging import facts
from jobistemer.runtime.process_info import process_identity
from jobistemer.runtime.repeat import retry_until_done, start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.calls import heartbeats, jobs
from jobistemer.store.calls.heartbeats import Agenda
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.clock import ServerClock
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.wakeup import WakeListener
from jobistemer.ticker.alerts import raise_due_alerts
from jobistemer.ticker.chores import Chores
from jobistemer.ticker.deadlines import halt_overdue
from jobistemer.ticker.fire import Share, fire_due, prepare_claims
from jobistemer.ticker.metrics import ShardMetrics, TickerMetrics, read_gauges
from jobistemer.ticker.promote import promote_due
from jobistemer.ticker.start_queued import start_queued_occurrences
from jobistemer.ticker.sweep import Sweeper
from jobistemer.ticker.trim import Trimmer
from jobistemer.ticker.unaccounted import UnaccountedJobs
from jobistemer.ticker.upcoming import UpcomingJobs

POLL_LIMIT = 20_000
"""How many due jobs one look lists; the rest is listed by the next."""
JOIN_S = 0.5
RETRY_S = 0.5
"""How long a ticker waits before it claims again what the server has refused."""
POLL_LATE_S = 10.0
"""So much longer than its pass a look may take before the ticker no longer counts as ready."""

log = logging.getLogger("jobistemer.ticker")


class Ticker:
    """One ticker process: a thread for each shard."""

    def __init__(self, namespace: Namespace, settings: TickerSettings, metrics: TickerMetrics | None = None) -> None:
        self._metrics = metrics
        self._namespace = namespace
        self._settings = settings
        self.id = process_identity()
        self._tickers: list[ShardTicker] = []
        self._shutdown = Shutdown()
        self.liveness = Liveness()

    def run(self, shutdown: Shutdown) -> None:
        """Tick until `shutdown` is requested. A lost connection is waited out."""
        self._shutdown = shutdown
        if retry_until_done(self._connect, shutdown.requested, f"ticker {self.id}"):
            log.info("ticker %s started: %s", self.id, self._namespace)
            self._run_shards(shutdown)
        log.info("ticker %s stopped", self.id)

    def ready(self) -> list[str]:
        """Why nobody should rely on this ticker, shard by shard; empty when it is ready."""
        if not self._tickers:
            return ["it has not reached its server yet"]
        if self._shutdown.requested.is_set():
            return ["it ends"]
        return [reason for each in self._tickers for reason in each.reasons_not_ready()]

    def measures(self) -> list[Measure]:
        """What it has to tell in numbers; what it has claimed only when it was given metrics."""
        counted = self._metrics.measures() if self._metrics else []
        stuck = sum(len(each.unaccounted.jobs) for each in self._tickers)
        return [*counted, *read_gauges(self._namespace.shards if self._tickers else (), stuck)]

    def _connect(self) -> None:
        for database in self._namespace.shards:
            if isinstance(database.clock, ServerClock):
                database.clock.jump_policy = JumpPolicy(
                    self._settings.max_jump_s * 1000, self._settings.jump_hold_s * 1000
                )

    def _run_shards(self, shutdown: Shutdown) -> None:
        tickers = self._tickers = [self._ticker(database) for database in self._namespace.shards]
        runs = (partial(each.run, shutdown.requested) for each in tickers)
        threads = [start_thread(run, f"shard {number}") for number, run in enumerate(runs)]
        # A pass that waits for a server which does not answer may take its time: who asks twice does not wait for it.
        while not shutdown.immediate.is_set() and any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(JOIN_S)

    def _ticker(self, database: Database) -> ShardTicker:
        metrics = self._metrics.add_shard() if self._metrics else None
        return ShardTicker(database, self._settings, self.id, self.liveness, metrics)


class ShardTicker:
    """The ticker of one shard."""

    def __init__(
        self,
        database: Database,
        settings: TickerSettings,
        identity: str,
        liveness: Liveness | None = None,
        metrics: ShardMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._database = database
        self._liveness = liveness or Liveness()
        self._settings = settings
        self._id = identity
        self._upcoming = UpcomingJobs()
        self._chores = Chores(database)
        self._sweeper = Sweeper(database)
        self._trimmer = Trimmer(database)
        self._delayed: list[tuple[str, int]] = []
        self._deadlines: list[tuple[str, int]] = []
        self._expected: list[tuple[str, int]] = []
        self._starts: list[str] = []
        self._next_poll = 0.0
        self._horizon_ms = 0
        self._share = Share()
        self._status = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": database.clock.now_ms()}
        self._fired = self._late_ms_max = 0
        self._polled_at: float | None = None
        self._held_ms = 0
        self.unaccounted = UnaccountedJobs()

    def reasons_not_ready(self) -> list[str]:
        """Why nobody should rely on this ticker; empty when it is ready."""
        found = [f"job {job} is due and nothing becomes of it" for job in self.unaccounted.jobs]
        if self._polled_at is None or time.monotonic() - self._polled_at > POLL_LATE_S + self._settings.pass_s:
            found.append("it has not seen the agenda lately; is the server there?")
        if self._held_ms:
            found.append(f"the server's clock has leapt by {self._held_ms / 1000:g} s and is not believed yet")
        return found

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        listener = WakeListener(self._database)
        # Listening comes before the first look: what appears in between is heard.
        retry_until_done(listener.listen, stop, f"ticker {self._id}")
        self._liveness.repeat(lambda: self._step(listener), stop, f"ticker {self._id}")
        listener.close()
        with suppress(NotConnected, ServerRefused):
            self._database.ask_all(heartbeats.forget_ticker(self._database.keys, self._id))

    def tick(self) -> int:
        """One pass over everything that is due now, without sleeping; how many occurrences it decided."""
        self.poll(full=True)
        self._chores.refresh()
        return self.process_due()

    def poll(self, *, full: bool) -> None:
        """Read the agenda and, when `full`, the definitions of jobs that are due soon and not known yet."""
        # Between two looks stands at most one bundle of what is due, however much is.
        self._liveness.touch()
        database = self._database
        now_ms = database.read_clock()
        if full:
            self._next_poll = time.monotonic() + self._settings.pass_s
            self._horizon_ms = now_ms + round(self._settings.horizon_s * 1000)
        limit = POLL_LIMIT if full else 0
        beat = heartbeats.beat_ticker(database.keys, self._id, now_ms, self._encode_status(), self._horizon_ms, limit)
        agenda = heartbeats.read_agenda(database.call(beat))
        self._delayed = agenda.delayed
        self._deadlines = agenda.deadlines
        self._expected = agenda.expected
        self._starts = agenda.starts
        if self._id in agenda.tickers:
            self._share = Share(agenda.tickers.index(self._id), len(agenda.tickers))
        self._read_unknown_jobs(agenda, now_ms)
        self._check_clock_leap()
        if full:
            self._polled_at = time.monotonic()
            self.unaccounted.observe(agenda.due, now_ms, self._upcoming.grace_ms)

    def process_due(self) -> int:
        """Fire, promote and halt what is due, start what may start; how many occurrences were decided."""
        known = (self._upcoming, self._settings.catch_up, self._horizon_ms, self._share)
        fired = fire_due(self._database, *known, self._metrics)
        self._fired += fired.claimed
        self._late_ms_max = max(self._late_ms_max, fired.late_ms)
        self._trimmer.remember(fired.grown)
        if fired.replan or fired.timed:
            self._next_poll = 0.0
        elif fired.refused:
            self._next_poll = min(self._next_poll, time.monotonic() + RETRY_S)
        if fired.replaced:
            self._chores.refresh()
        while promote_due(self._database, self._delayed):
            self.poll(full=False)
        while halt_overdue(self._database, self._deadlines):
            self.poll(full=False)
        while raise_due_alerts(self._database, self._expected):
            self.poll(full=False)
        # Before anything is started: what was replaced meanwhile must not begin.
        if self._chores.run_due():
            self._next_poll = 0.0
        start_queued_occurrences(self._database, self._starts)
        self._starts = []
        return fired.claimed

    def prepare_claims(self) -> None:
        """Make some of the claims to come ready, for moments in which nothing is due."""
        prepare_claims(self._database.keys, self._upcoming, self._share)

    def _step(self, listener: WakeListener) -> None:
        try:
            self._run_pass(listener)
        except BaseException:
            # What was in hand when the connection broke is unknown again, so everything is looked at anew; and the one
            # that listens may still be with a server that hangs, or is no longer the master.
            self._next_poll = 0.0
            listener.close()
            raise

    def _run_pass(self, listener: WakeListener) -> None:
        if self.must_poll:
            listener.listen()
            self.poll(full=True)
            self._chores.refresh()
            self._sweeper.sweep_if_due()
            self._trimmer.trim_if_due()
        elif (instant := self._upcoming.next_ms()) is not None and instant <= self._database.clock.now_ms():
            # The server's time counts: should it have stepped back, nothing is fired early.
            self._database.read_clock()
        self.process_due()
        self.prepare_claims()
        heard = listener.wait(self._seconds_to_sleep())
        if "job" in heard:
            self._next_poll = 0.0
        elif heard:
            self.poll(full=False)

    def _check_clock_leap(self) -> None:
        held_ms = getattr(self._database.clock, "held_ms", 0)
        if held_ms and not self._held_ms:
            log.warning(
                "the server's clock has leapt ahead by %.1f s: going on by the time before until that has lasted %g s; "
                "a ticker that is started anew believes it at once",
                *(held_ms / 1000, self._settings.jump_hold_s),
            )
        elif self._held_ms and not held_ms:
            log.warning("the server's clock is believed again")
        self._held_ms = held_ms

    def _read_unknown_jobs(self, agenda: Agenda, now_ms: int) -> None:
        unknown = self._upcoming.find_unknown(agenda.due, now_ms)
        for start in range(0, len(unknown), 500):
            part = unknown[start : start + 500]
            answers = self._database.ask_all([jobs.read_command(self._database.keys, job_id) for job_id in part])
            for job_id, answer in zip(part, answers, strict=True):
                stored = _read_or_log(job_id, answer)
                if stored is not None:
                    self._upcoming.add(job_id, stored, agenda.due[job_id])

    def next_ms(self) -> int | None:
        """The first instant at which there will be something to do, as far as the last look has shown."""
        ordered = (self._delayed, self._deadlines, self._expected)
        instants = [self._upcoming.next_ms(), self._chores.next_ms(), *(each[0][1] for each in ordered if each)]
        return min((each for each in instants if each is not None), default=None)

    @property
    def must_poll(self) -> bool:
        """Whether it is time for a full look: the last one is too long ago, or was not true."""
        return time.monotonic() >= self._next_poll

    def _seconds_to_sleep(self) -> float:
        if self._upcoming.has_unprepared:
            return 0.0
        until_poll, instant = self._next_poll - time.monotonic(), self.next_ms()
        if instant is None:
            return max(0.0, until_poll)
        return max(0.0, min(until_poll, (instant - self._database.clock.now_ms()) / 1000))

    def _encode_status(self) -> bytes:
        counts = {"fired": self._fired, "late_ms_max": self._late_ms_max, "prepared": len(self._upcoming)}
        counts |= {"unaccounted": len(self.unaccounted.jobs), "held_ms": self._held_ms}
        offset = getattr(self._database.clock, "offset_ms", 0)
        return msgspec.json.encode({**self._status, **counts, "offset_ms": offset})


def _read_or_log(job_id: str, answer: list[bytes | None]) -> StoredJob | None:
    try:
        return jobs.read_stored(answer)
    except Exception as error:  # noqa: BLE001 - whatever a newer version has written, it holds up no other job
        log.error("job %s has a definition that this ticker cannot read: %s", job_id, error, extra=facts(job=job_id))
        return None
