"""The heartbeat: it keeps the lease of this worker, publishes its state, and reads requests to it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jobistemer.control.put_aside import mend_types, put_aside_and_log
from jobistemer.runtime.process_info import ProcessUsage
from jobistemer.store.calls import groups, heartbeats, streams
from jobistemer.store.calls.heartbeats import BeatReply
from jobistemer.store.continuity import Beat
from jobistemer.store.database import Database
from jobistemer.store.reads import records
from jobistemer.worker.attempts.watchdog import Watchdog
from jobistemer.worker.fetch.worker_parts import WorkerParts
from jobistemer.worker.lease.reclaim import Reclaimer

REREAD_MS = 2_000
"""Milliseconds before a beat whose requests the next beat reads again: some may have come while the beat ran."""
MIN_PAUSE_S = 0.01
READY_MARGIN_S = 2.0
"""Seconds beyond two beats after which a worker that has not beaten counts as not ready."""

log = logging.getLogger("jobistemer.worker")
_USAGE = ProcessUsage()
"""Of the process, whose beats at all shards tell the same."""


class Beater:
    """The heartbeat at one shard, on a thread of its own, so that nothing else can delay it."""

    def __init__(
        self,
        database: Database,
        parts: WorkerParts,
        watchdog: Watchdog,
        reclaimer: Reclaimer,
        counts: Callable[[], Mapping[str, Any]],
        expect_suspects: Callable[[], None],
    ) -> None:
        self._database = database
        database.mend, database.put_aside = mend_types, put_aside_and_log
        self._worker = parts.id
        self._settings = parts.settings
        self._queue_order = parts.queue_order
        self._attempts = parts.attempts
        self._watchdog = watchdog
        self._reclaimer = reclaimer
        self._counts = counts
        self._expect_suspects = expect_suspects
        self._shutdown = parts.shutdown
        self._continuity = parts.continuity
        self._last_beat: Beat | None = None
        self._definitions = parts.definitions
        self._max_silence_s = 2 * parts.settings.beat_s + READY_MARGIN_S
        self._commands_read_until_ms = database.clock.now_ms()
        self._status = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": self._commands_read_until_ms}
        self.last_beat_ms = 0
        self._last_beat_at: float | None = None
        self._cancel_reasons: dict[str, str] = {}
        self.first_beat = threading.Event()

    def step(self) -> float:
        """Beat once. Returns the seconds until the next beat. Raises NotConnected or ServerRefused."""
        began, database, settings = time.monotonic(), self._database, self._settings
        now_ms = database.clock.now_ms()
        lease_ms = round(settings.lease_s * 1000)
        since_ms, status = self._commands_read_until_ms, self._encode_status()
        call = heartbeats.beat_worker(database.keys, self._worker, now_ms, lease_ms, since_ms, status)
        reply = heartbeats.read_beat_reply(database.keys, database.call(call))
        # The next beat reads the last seconds again: a request that was stored while this beat ran may be missing here.
        self._commands_read_until_ms = now_ms - REREAD_MS
        database.clock.correct(reply.server_ms)
        self.last_beat_ms, self._last_beat_at = now_ms, time.monotonic()
        self.first_beat.set()
        self._check_server(reply, now_ms)
        self._queue_order.paused, self._queue_order.on_hold = reply.paused, reply.holds
        if reply.cancels:
            self._watchdog.cancel(self._find_reasons(reply.cancels))
        # Only now: from here on what is read begins without asking the server, so it must be known what was cancelled.
        self._attempts.record_beat(database)
        self._cancel_halted()
        put_aside_and_log(database, reply.unreadable)
        self._execute_command(reply.command)
        self._record_long_attempts()
        others = {name: beat for name, beat in reply.suspects.items() if name != self._worker}
        if others:
            self._expect_suspects()
        watched_ms = {name: now_ms - since for name, since in reply.sights.items()}
        self._reclaimer.observe(others, reply.places, began + settings.beat_s, watched_ms)
        # Measured from the beginning of this beat: requests must be read within a second, however long the rest took.
        return max(MIN_PAUSE_S, settings.beat_s - (time.monotonic() - began))

    def _check_server(self, reply: BeatReply, now_ms: int) -> None:
        """Drop what is remembered of a server that was emptied or restored; ask for the end where this cannot go on."""
        last, self._last_beat = self._last_beat, Beat(reply.identity, now_ms)
        if self._continuity.observe(last, Beat(reply.identity, reply.found_ms)):
            self._definitions.forget()
            streams.open_streams(self._database, self._queue_order.all_places())
        if (conflict := self._continuity.conflict) and not self._shutdown.requested.is_set():
            log.error(
                "worker %s ends, so that one with the present number of shards starts: %s", self._worker, conflict
            )
            self._shutdown.request_order()

    def _find_reasons(self, runs: list[str]) -> dict[str, str]:
        """Return the runs that are to be cancelled, each with the reason; a request is reported by several beats."""
        asked = [run for run in runs if run not in self._cancel_reasons]
        reasons = records.find_cancel_reasons(self._database, asked) if asked else []
        known = self._cancel_reasons | dict(zip(asked, reasons, strict=True))
        self._cancel_reasons = {run: known[run] for run in runs}
        return self._cancel_reasons

    def explain_silence(self) -> str:
        """Return why this worker may have lost its lease; empty while its beats succeed."""
        silent = self.silent_s
        if doubt := self._continuity.explain_doubt():
            return doubt
        if silent is None:
            return "it has not beaten yet; is the server there?"
        return f"it has not beaten for {silent:.1f} s; is the server there?" if silent > self._max_silence_s else ""

    @property
    def silent_s(self) -> float | None:
        """The seconds since the last beat that succeeded; None before the first."""
        return None if self._last_beat_at is None else time.monotonic() - self._last_beat_at

    def _record_long_attempts(self) -> None:
        # Short attempts are never shown as running: that would cost every run another write to the server.
        now = time.monotonic()
        long_attempts = [
            each
            for each in self._attempts.running()
            if not each.is_start_recorded and now - each.started > self._settings.beat_s
        ]
        mine = [each for each in long_attempts if each.database is self._database]
        for start in range(0, len(mine), 100):
            # A hundred in a round trip, so that no request to the server gets large.
            part = mine[start : start + 100]
            self._database.call_all([attempt.build_start_call() for attempt in part])
            for attempt in part:
                attempt.is_start_recorded = True

    def _cancel_halted(self) -> None:
        # A group that has failed stops its other runs. The group only stores that, and workers must look here.
        messages = [each.delivery.message for each in self._attempts.running() if each.database is self._database]
        of_groups = [message for message in messages if message.member is not None]
        if of_groups:
            self._watchdog.cancel(groups.find_halted(self._database, of_groups))

    def _execute_command(self, command: str) -> None:
        if command == "quiet" and not self._shutdown.quiet.is_set():
            log.info("worker %s takes no new work: it was asked to be quiet", self._worker)
            self._shutdown.quiet.set()
        if command == "stop" and not self._shutdown.requested.is_set():
            log.info("worker %s ends: it was asked to stop", self._worker)
            self._shutdown.request_order()

    def _encode_status(self) -> bytes:
        settings = self._settings
        fixed = {"queues": settings.queues, "concurrency": settings.concurrency, "lease_s": settings.lease_s}
        quiet = self._shutdown.quiet.is_set() or self._shutdown.requested.is_set()
        told = {"waits_until_due": True, "quiet": quiet, "near_timeout": self._attempts.long_attempts.list()}
        return msgspec.json.encode({**self._status, **fixed, **told, **_USAGE.read(), **self._counts()})
