"""Runs whose task a worker does not know: they are put off, and made due again when another worker starts."""

from __future__ import annotations

from jobistemer.core.runs.message import Delivery, encode_message
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script

LONGEST_DELAY_MS = 5_000
"""After so long at the latest a run is offered to a worker again."""
MAX_ROUNDS = 100
"""How many times a hundred runs are made due by one start; the others come back by themselves."""


def put_off_unknown(keys: Keys, delivery: Delivery, now_ms: int, note: str) -> ScriptCall:
    """Build the call that puts off a fetched run for a worker that knows its task; its attempt does not count."""
    message = delivery.message
    where = place(message.queue, message.priority)
    return script("put_off_unknown")(
        (delivery.stream.decode(), keys.run(message.run), keys.delayed, keys.wake, keys.unknown, keys.joined),
        (
            delivery.entry,
            message.run,
            where,
            encode_message(message),
            delivery.attempt,
            delivery.crashes,
            now_ms,
            LONGEST_DELAY_MS,
            note,
        ),
    )


def join_worker(keys: Keys, now_ms: int) -> ScriptCall:
    """Build the call that notes the start of a worker, and makes up to 100 runs due that may have waited for it."""
    return script("join_worker")((keys.joined, keys.unknown, keys.delayed, keys.wake), (now_ms,))


def announce_worker(database: Database) -> None:
    """Note the start of a worker, and make all runs due that may have waited for it. Raises NotConnected, …."""
    for _ in range(MAX_ROUNDS):
        reply = database.call(join_worker(database.keys, database.clock.now_ms()))
        if not reply.values[0]:
            return
