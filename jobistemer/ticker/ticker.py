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
from jobistemer.core.planning.clock_jumps import Patience
from jobistemer.core.reads.metrics import Measure
from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.liveness import Vitals
from jobistemer.runtime.logging import facts
from jobistemer.runtime.process_info import process_identity
from jobistemer.runtime.repeat import start_thread, until_done
from jobistemer.runtime.shutdown import Stopping
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
from jobistemer.ticker.fire import Share, fire_due, make_ready
from jobistemer.ticker.metrics import Tallies, Tally, state_of
from jobistemer.ticker.promote import promote_due
from jobistemer.ticker.start_queued import start_waiting
from jobistemer.ticker.sweep import Sweeper
from jobistemer.ticker.trim import Trimmer
from jobistemer.ticker.unaccounted import Unaccounted
from jobistemer.ticker.upcoming import Upcoming

LOOK_LIMIT = 20_000
"""How many due jobs one look lists; the rest is listed by the next."""
LOOK_ROUND_S = 0.5
AGAIN_S = 0.5
"""How long a ticker waits before it claims again what the server has refused."""
LOOK_LATE_S = 10.0
"""So much longer than its pass a look may take before the ticker no longer counts as ready."""

log = logging.getLogger("jobistemer.ticker")


class Ticker:
    """One ticker process: a thread for each shard."""

    def __init__(self, namespace: Namespace, settings: TickerSettings, tallies: Tallies | None = None) -> None:
        self._tallies = tallies
        self._namespace = namespace
        self._settings = settings
        self.id = process_identity()
        self._tickers: list[ShardTicker] = []
        self._stopping = Stopping()
        self.vitals = Vitals()

    def run(self, stopping: Stopping) -> None:
        """Tick until `stopping` is requested. A lost connection is waited out."""
        self._stopping = stopping
        if until_done(self._open, stopping.requested, f"ticker {self.id}"):
            log.info("ticker %s started: %s", self.id, self._namespace)
            self._run_shards(stopping)
        log.info("ticker %s stopped", self.id)

    def ready(self) -> list[str]:
        """Why nobody should rely on this ticker, shard by shard; empty when it is ready."""
        if not self._tickers:
            return ["it has not reached its server yet"]
        if self._stopping.requested.is_set():
            return ["it ends"]
        return [reason for each in self._tickers for reason in each.reasons_not_ready()]

    def measures(self) -> list[Measure]:
        """What it has to tell in numbers; what it has claimed only when it was given tallies."""
        counted = self._tallies.measures() if self._tallies else []
        stuck = sum(len(each.unaccounted.jobs) for each in self._tickers)
        return [*counted, *state_of(self._namespace.shards if self._tickers else (), stuck)]

    def _open(self) -> None:
        for database in self._namespace.shards:
            if isinstance(database.clock, ServerClock):
                database.clock.patience = Patience(self._settings.max_jump_s * 1000, self._settings.jump_hold_s * 1000)

    def _run_shards(self, stopping: Stopping) -> None:
        tickers = self._tickers = [self._ticker(database) for database in self._namespace.shards]
        runs = (partial(each.run, stopping.requested) for each in tickers)
        threads = [start_thread(run, f"shard {number}") for number, run in enumerate(runs)]
        # A pass that waits for a server which does not answer may take its time: who asks twice does not wait for it.
        while not stopping.immediate.is_set() and any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(LOOK_ROUND_S)

    def _ticker(self, database: Database) -> ShardTicker:
        tally = self._tallies.new() if self._tallies else None
        return ShardTicker(database, self._settings, self.id, self.vitals, tally)


class ShardTicker:
    """The ticker of one shard."""

    def __init__(
        self,
        database: Database,
        settings: TickerSettings,
        identity: str,
        vitals: Vitals | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._tally = tally
        self._database = database
        self._vitals = vitals or Vitals()
        self._settings = settings
        self._id = identity
        self._upcoming = Upcoming()
        self._chores = Chores(database)
        self._sweeper = Sweeper(database)
        self._trimmer = Trimmer(database)
        self._delayed: list[tuple[str, int]] = []
        self._deadlines: list[tuple[str, int]] = []
        self._expected: list[tuple[str, int]] = []
        self._starts: list[str] = []
        self._next_look = 0.0
        self._horizon_ms = 0
        self._share = Share()
        self._status = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": database.clock.now_ms()}
        self._fired = self._late_ms_max = 0
        self._looked_at: float | None = None
        self._held_ms = 0
        self.unaccounted = Unaccounted()

    def reasons_not_ready(self) -> list[str]:
        """Why nobody should rely on this ticker; empty when it is ready."""
        found = [f"job {job} is due and nothing becomes of it" for job in self.unaccounted.jobs]
        if self._looked_at is None or time.monotonic() - self._looked_at > LOOK_LATE_S + self._settings.pass_s:
            found.append("it has not seen the agenda lately; is the server there?")
        if self._held_ms:
            found.append(f"the server's clock has leapt by {self._held_ms / 1000:g} s and is not believed yet")
        return found

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        listener = WakeListener(self._database)
        # Listening comes before the first look: what appears in between is heard.
        until_done(listener.listen, stop, f"ticker {self._id}")
        self._vitals.repeat(lambda: self._step(listener), stop, f"ticker {self._id}")
        listener.close()
        with suppress(NotConnected, ServerRefused):
            self._database.ask_all(heartbeats.forget_ticker(self._database.keys, self._id))

    def tick(self) -> int:
        """One pass over everything that is due now, without sleeping; how many occurrences it decided."""
        self.look(full=True)
        self._chores.look()
        return self.act()

    def look(self, *, full: bool) -> None:
        """Read the agenda and, when `full`, the definitions of jobs that are due soon and not known yet."""
        # Between two looks stands at most one bundle of what is due, however much is.
        self._vitals.mark()
        database = self._database
        now_ms = database.read_clock()
        if full:
            self._next_look = time.monotonic() + self._settings.pass_s
            self._horizon_ms = now_ms + round(self._settings.horizon_s * 1000)
        limit = LOOK_LIMIT if full else 0
        beat = heartbeats.beat_ticker(database.keys, self._id, now_ms, self._encoded_status(), self._horizon_ms, limit)
        agenda = heartbeats.read_agenda(database.call(beat))
        self._delayed = agenda.delayed
        self._deadlines = agenda.deadlines
        self._expected = agenda.expected
        self._starts = agenda.starts
        if self._id in agenda.tickers:
            self._share = Share(agenda.tickers.index(self._id), len(agenda.tickers))
        self._learn(agenda, now_ms)
        self._heed_clock()
        if full:
            self._looked_at = time.monotonic()
            self.unaccounted.observe(agenda.due, now_ms, self._upcoming.grace_ms)

    def act(self) -> int:
        """Fire, promote and halt what is due, start what may start; how many occurrences were decided."""
        known = (self._upcoming, self._settings.catch_up, self._horizon_ms, self._share)
        fired = fire_due(self._database, *known, self._tally)
        self._fired += fired.claimed
        self._late_ms_max = max(self._late_ms_max, fired.late_ms)
        self._trimmer.note(fired.grown)
        if fired.replan or fired.timed:
            self._next_look = 0.0
        elif fired.refused:
            self._next_look = min(self._next_look, time.monotonic() + AGAIN_S)
        if fired.replaced:
            self._chores.look()
        while promote_due(self._database, self._delayed):
            self.look(full=False)
        while halt_overdue(self._database, self._deadlines):
            self.look(full=False)
        while raise_due_alerts(self._database, self._expected):
            self.look(full=False)
        # Before anything is started: what was replaced meanwhile must not begin.
        if self._chores.act():
            self._next_look = 0.0
        start_waiting(self._database, self._starts)
        self._starts = []
        return fired.claimed

    def make_ready(self) -> None:
        """Make some of the claims to come ready, for moments in which nothing is due."""
        make_ready(self._database.keys, self._upcoming, self._share)

    def _step(self, listener: WakeListener) -> None:
        try:
            self._pass(listener)
        except BaseException:
            # What was in hand when the connection broke is unknown again, so everything is looked at anew; and the one
            # that listens may still be with a server that hangs, or is no longer the master.
            self._next_look = 0.0
            listener.close()
            raise

    def _pass(self, listener: WakeListener) -> None:
        if self.must_look:
            listener.listen()
            self.look(full=True)
            self._chores.look()
            self._sweeper.sweep_if_time()
            self._trimmer.trim_if_time()
        elif (instant := self._upcoming.next_ms()) is not None and instant <= self._database.clock.now_ms():
            # The server's time counts: should it have stepped back, nothing is fired early.
            self._database.read_clock()
        self.act()
        self.make_ready()
        heard = listener.wait(self._seconds_to_sleep())
        if "job" in heard:
            self._next_look = 0.0
        elif heard:
            self.look(full=False)

    def _heed_clock(self) -> None:
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

    def _learn(self, agenda: Agenda, now_ms: int) -> None:
        unknown = self._upcoming.unknown(agenda.due, now_ms)
        for start in range(0, len(unknown), 500):
            part = unknown[start : start + 500]
            answers = self._database.ask_all([jobs.read_command(self._database.keys, job_id) for job_id in part])
            for job_id, answer in zip(part, answers, strict=True):
                stored = _readable(job_id, answer)
                if stored is not None:
                    self._upcoming.add(job_id, stored, agenda.due[job_id])

    def next_ms(self) -> int | None:
        """The first instant at which there will be something to do, as far as the last look has shown."""
        ordered = (self._delayed, self._deadlines, self._expected)
        instants = [self._upcoming.next_ms(), self._chores.next_ms(), *(each[0][1] for each in ordered if each)]
        return min((each for each in instants if each is not None), default=None)

    @property
    def must_look(self) -> bool:
        """Whether it is time for a full look: the last one is too long ago, or was not true."""
        return time.monotonic() >= self._next_look

    def _seconds_to_sleep(self) -> float:
        if self._upcoming.unready:
            return 0.0
        until_look, instant = self._next_look - time.monotonic(), self.next_ms()
        if instant is None:
            return max(0.0, until_look)
        return max(0.0, min(until_look, (instant - self._database.clock.now_ms()) / 1000))

    def _encoded_status(self) -> bytes:
        counts = {"fired": self._fired, "late_ms_max": self._late_ms_max, "prepared": len(self._upcoming)}
        counts |= {"unaccounted": len(self.unaccounted.jobs), "held_ms": self._held_ms}
        offset = getattr(self._database.clock, "offset_ms", 0)
        return msgspec.json.encode({**self._status, **counts, "offset_ms": offset})


def _readable(job_id: str, answer: list[bytes | None]) -> StoredJob | None:
    try:
        return jobs.read_stored(answer)
    except Exception as error:  # noqa: BLE001 - whatever a newer version has written, it holds up no other job
        log.error("job %s has a definition that this ticker cannot read: %s", job_id, error, extra=facts(job=job_id))
        return None
