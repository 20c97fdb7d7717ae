"""Calls that create runs beside the plain one: many at once, or one out of many calls."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobistemer.core.runs.message import Message, encode_message
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import Call, script

MAX_RUNS_PER_CALL = 100
"""How many runs one call of `enqueue_runs` creates."""


def enqueue_runs(keys: Keys, where: str, messages: Sequence[Message]) -> Call:
    """Create up to a hundred runs of one place that may start at once and have no unique key."""
    touched = [keys.run(message.run) for message in messages]
    args: list[str | bytes] = [where]
    for message in messages:
        args += (message.handler, encode_message(message))
    return script("enqueue_runs")((keys.stream(where), keys.streams, keys.closed, *touched), tuple(args))


def debounce_run(keys: Keys, message: Message, lock: str, window: tuple[int, int], now_ms: int, seen: str = "") -> Call:
    """Create a run that waits for silence, or put off the one that the caller has seen waiting for it.

    window: when it starts if no further call comes, and at the latest.
    """
    where = place(message.queue, message.priority)
    moved = encode_message(msgspec.structs.replace(message, run=seen)) if seen else b""
    return script("debounce_run")(
        (
            *(keys.run(message.run), keys.run(seen or message.run), keys.delayed),
            *(keys.unique(lock), keys.closed, keys.wake),
        ),
        (message.run, seen, message.handler, encode_message(message), moved, where, now_ms, *window),
    )


def free_unique(keys: Keys, message: Message) -> Call:
    """Give up a unique key that was held only while the run was queued."""
    return script("free_unique")((keys.unique(message.unique),), (message.run,))
