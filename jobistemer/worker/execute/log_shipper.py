"""The log shipper: send the log lines of handlers, many in one round trip, and never in the handler's own thread."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue

from jobistemer.core.errors import JobistemerError, NotConnected
from jobistemer.core.runs.message import Message
from jobistemer.store.calls.run_ends import KEEP_EARLIER_MS
from jobistemer.store.database import Database
from jobistemer.store.scripts import ScriptCall
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
        """Send what was logged; return the seconds until the next sending.

        Raises ServerRefused when the server has refused lines, once all others are sent: they are sent again.
        """
        by_shard: dict[Database, dict[Attempt, None]] = {}
        # By identity: entries of two queues may have the same id.
        for attempt in self._take_all():
            by_shard.setdefault(attempt.database, {})[attempt] = None
        refused: JobistemerError | None = None
        for database, attempts in by_shard.items():
            try:
                refused = self._send(database, list(attempts)) or refused
            except NotConnected:
                # On a cluster one shard may be away while the others are there; its lines are sent later.
                for attempt in attempts:
                    self.add(attempt)
        if refused is not None:
            raise refused
        return PAUSE_S

    def _take_all(self) -> list[Attempt]:
        found = []
        with suppress(Empty):
            attempt = self._waiting.get(timeout=WAIT_S)
            while attempt is not None:
                found.append(attempt)
                attempt = self._waiting.get_nowait()
        return found

    def _send(self, database: Database, attempts: list[Attempt]) -> JobistemerError | None:
        """Send the lines of one shard. Returns the last refusal. Raises NotConnected."""
        sent: list[tuple[Attempt, LogBuffer, tuple[int, bytes], int]] = []
        calls: list[ScriptCall] = []
        for attempt in attempts:
            # The last lines of an attempt that has ended went with its outcome.
            if attempt.tools is not None and attempt.outcome is None:
                buffer = attempt.tools.log_buffer
                position = buffer.position()
                own = buffer.calls(database.keys, attempt.delivery, max_lifetime_ms(attempt.delivery.message))
                sent.append((attempt, buffer, position, len(own)))
                calls += own
        replies = iter(database.call_all(calls) if calls else [])
        refused: JobistemerError | None = None
        for attempt, buffer, position, count in sent:
            if refusals := [each for each in islice(replies, count) if isinstance(each, JobistemerError)]:
                refused = refusals[-1]
                self.add(attempt)
            else:
                buffer.acknowledge(*position)
        return refused


def max_lifetime_ms(message: Message) -> int:
    """Return how many milliseconds a log may be needed while the attempt goes on; its end shortens that."""
    return (message.timeout_ms or _NO_TIMEOUT_MS) + message.retention_ms + KEEP_EARLIER_MS
