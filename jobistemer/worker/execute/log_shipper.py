"""The log shipper: brings to the server what handlers note, many notes a round trip, never on a handler's own path."""

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
"""Between two sendings: what is noted meanwhile goes together."""
_NO_TIMEOUT_MS = 30 * 86_400_000


class LogShipper:
    """One thread of a worker; it sleeps until somebody notes something."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Attempt | None] = SimpleQueue()

    def add(self, attempt: Attempt) -> None:
        """Have the notes of an attempt sent."""
        self._waiting.put(attempt)

    def end(self) -> None:
        """Wait for nothing more: there will be none."""
        self._waiting.put(None)

    def step(self) -> float:
        """Send what was noted; the seconds until the next sending."""
        by_shard: dict[int, dict[bytes, Attempt]] = {}
        for attempt in self._take_all():
            by_shard.setdefault(id(attempt.database), {})[attempt.delivery.entry] = attempt
        for attempts in by_shard.values():
            try:
                self._send(list(attempts.values()))
            except NotConnected:
                # On a cluster one shard may be away while the others are there; it is told later.
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
            # What has ended has had its last notes sent with its outcome.
            if attempt.tools is not None and attempt.outcome is None:
                buffers.append((attempt.tools.log_buffer, attempt.tools.log_buffer.position()))
                message = attempt.delivery.message
                calls += attempt.tools.log_buffer.calls(database.keys, attempt.delivery, max_lifetime_ms(message))
        if calls:
            database.call_all(calls)
            for buffer, position in buffers:
                buffer.acknowledge(*position)


def max_lifetime_ms(message: Message) -> int:
    """How long notes may be needed while the attempt goes on; its end shortens that to its own retention."""
    return (message.timeout_ms or _NO_TIMEOUT_MS) + message.retention_ms + KEEP_EARLIER_MS
