"""The log shipper: send the log lines of handlers, many in one round trip, and never in the handler's own thread."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue

from jobistemer.core.errors import NotConnected
from jobistemer.core.runs.message import Message
from jobistemer.store.calls.run_ends import KEEP_EARLIER_MS
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.log_buffer import LogBuffer

WAIT_S = 0.5
PAUSE_S = 0.1
"""Pause between two sendings: lines that are logged meanwhile go together."""
_NO_TIMEOUT_MS = 30 * 86_400_000


class LogShipper:
    """The queue of one sending thread of a worker, which sleeps until a handler logs."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Attempt | None] = SimpleQueue()

    def add(self, attempt: Attempt) -> None:
        """Have the log of an attempt sent."""
        self._waiting.put(attempt)

    def end(self) -> None:
        """Let the thread wait no more: nothing will come."""
        self._waiting.put(None)

    def step(self) -> float:
        """Send what was logged; return the seconds until the next sending."""
        by_shard: dict[int, dict[bytes, Attempt]] = {}
        for attempt in self._take_all():
            by_shard.setdefault(id(attempt.database), {})[attempt.delivery.entry] = attempt
        for attempts in by_shard.values():
            try:
                self._send(list(attempts.values()))
            except NotConnected:
                # On a cluster one shard may be away while the others are there; its lines are sent later.
                for attempt in attempts.values():
                    self.add(attempt)
        return PAUSE_S

    def _take_all(self) -> list[Attempt]:
        found = []
        with suppress(Empty):
            attempt = self._waiting.get(timeout=WAIT_S)
            while attempt is not None:
                found.append(attempt)
                attempt = self._waiting.get_nowait()
        return found

    def _send(self, attempts: list[Attempt]) -> None:
        database: Database = attempts[0].database
        buffers: list[tuple[LogBuffer, tuple[int, bytes]]] = []
        calls = []
        for attempt in attempts:
            # The last lines of an attempt that has ended went with its outcome.
            if attempt.tools is not None and attempt.outcome is None:
                buffers.append((attempt.tools.log_buffer, attempt.tools.log_buffer.position()))
                message = attempt.delivery.message
                calls += attempt.tools.log_buffer.calls(database.keys, attempt.delivery, max_lifetime_ms(message))
        if calls:
            database.call_all(calls)
            for buffer, position in buffers:
                buffer.acknowledge(*position)


def max_lifetime_ms(message: Message) -> int:
    """Return how many milliseconds a log may be needed while the attempt goes on; its end shortens that."""
    return (message.timeout_ms or _NO_TIMEOUT_MS) + message.retention_ms + KEEP_EARLIER_MS
