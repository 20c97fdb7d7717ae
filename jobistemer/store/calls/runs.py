"""Calls that move a run through its life: create, promote, record, end, try again, hand back."""

from __future__ import annotations

from collections.abc import Sequence
from os import urandom
from typing import Final

import msgspec

from jobistemer.core import ids
from jobistemer.core.runs.message import Delivery, Message, encode_message
from jobistemer.store.keys import Keys, place, split_delayed_member
from jobistemer.store.scripts import ScriptCall, script

MAX_UNIQUE_MS = 30 * 86_400_000
"""How long a unique key is held at most: a run that never ends must not block its key for ever."""
MAX_REASON_LENGTH = 500
"""How much of the reason of a cancel is kept."""
MAX_RUNS_PER_CALL = 100
"""How many runs one call of `enqueue_runs` creates."""
_VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""By a random digit, the digit of a UUID that has two random bits behind the two that say its variant."""


def new_run_id(now_ms: int) -> str:
    """Return a new identity for a call that belongs to no occurrence: a UUID of version 7 (RFC 9562).

    Such identities sort by their time, Unix milliseconds; 74 random bits tell those of one millisecond apart.
    `ids.read_enqueue_ms` reads the time.
    """
    # Text from text: a number of 128 bits in between takes a fifth longer.
    time, entropy = f"{now_ms & 0xFFFFFFFFFFFF:012x}", urandom(10).hex()
    return f"run_{time[:8]}-{time[8:]}-7{entropy[:3]}-{_VARIANTS[entropy[3]]}{entropy[4:7]}-{entropy[7:19]}"


def enqueue_run(
    keys: Keys, message: Message, due_at: int = 0, unique_ms: int = MAX_UNIQUE_MS, lock: str = ""
) -> ScriptCall:
    """Build the call that creates a run, on its stream, or in the delayed set when `due_at` (ms) is given.

    lock: a unique key that is held for all of `unique_ms`, also after the run has ended.
    """
    where, unique_key = place(message.queue, message.priority), lock or message.unique
    unique = (keys.unique(unique_key),) if unique_key else ()
    encoded = encode_message(message)
    if due_at > 0:
        touched = (keys.run(message.run), keys.delayed, keys.wake, keys.closed, *unique)
        delayed = (message.run, message.handler, encoded, where, unique_ms, due_at)
        return ScriptCall(script("delay_run"), touched, delayed)
    touched = (keys.run(message.run), keys.stream(where), keys.streams, keys.closed, *unique)
    held = (message.run, unique_ms) if unique else ()
    return ScriptCall(script("enqueue_run"), touched, (message.handler, encoded, where, *held))


def enqueue_runs(keys: Keys, where: str, messages: Sequence[Message]) -> ScriptCall:
    """Build the call that creates up to 100 runs of one place that start at once and have no unique key."""
    touched = [keys.run(message.run) for message in messages]
    args: list[str | bytes] = [where]
    for message in messages:
        args += (message.handler, encode_message(message))
    return script("enqueue_runs")((keys.stream(where), keys.streams, keys.closed, *touched), tuple(args))


def debounce_run(
    keys: Keys, message: Message, lock: str, window: tuple[int, int], now_ms: int, seen: str = ""
) -> ScriptCall:
    """Build the call that creates a run which starts when no further call comes, or puts off the run that waits.

    window: the ms at which it starts if no further call comes, and at the latest. seen: the run that the caller has
    seen waiting.
    """
    where = place(message.queue, message.priority)
    moved = encode_message(msgspec.structs.replace(message, run=seen, enqueued_at=message.enqueue_ms)) if seen else b""
    run, earlier = keys.run(message.run), keys.run(seen or message.run)
    return script("debounce_run")(
        (run, earlier, keys.delayed, keys.unique(lock), keys.closed, keys.wake),
        (message.run, seen, message.handler, encode_message(message), moved, where, now_ms, *window),
    )


def free_unique(keys: Keys, message: Message) -> ScriptCall:
    """Build the call that gives up a unique key which is held only while the run is queued."""
    return script("free_unique")((keys.unique(message.unique),), (message.run,))


def promote_runs(keys: Keys, members: list[str], now: int) -> ScriptCall:
    """Build the call that moves up to 100 members of the delayed set that are due onto their streams."""
    pairs = [split_delayed_member(member) for member in members[:100]]
    touched = [key for where, run in pairs for key in (keys.run(run), keys.stream(where))]
    args = [arg for where, run in pairs for arg in (run, where)]
    return script("promote_runs")((keys.delayed, keys.streams, keys.questions, *touched), (now, *args))


def start_attempt(keys: Keys, delivery: Delivery, worker: str, started_at: int) -> ScriptCall:
    """Build the call that records an attempt which is going on."""
    message = delivery.message
    occurrence = (keys.occurrence(message.task_ref.occurrence),) if message.task_ref else ()
    attempt = keys.attempt(ids.attempt_id(message.run, delivery.attempt))
    return script("start_attempt")(
        (keys.run(message.run), attempt, *occurrence),
        (delivery.entry, delivery.attempt, worker, started_at),
    )


def hand_back(
    keys: Keys, delivery: Delivery, now: int, delay_ms: int = 0, note: str = "", raw: bytes = b""
) -> ScriptCall:
    """Build the call that gives back an entry which was fetched and never started; its attempt does not count.

    raw: the message as it came, where this version cannot read all of it.
    """
    message = delivery.message
    where = place(message.queue, message.priority)
    attempt = keys.attempt(ids.attempt_id(message.run, delivery.attempt))
    return script("retry_run")(
        (delivery.stream.decode(), keys.run(message.run), attempt, keys.delayed, keys.wake),
        (
            delivery.entry,
            message.run,
            where,
            "",
            "",
            raw or encode_message(message),
            delivery.attempt,
            delivery.crashes,
            now + delay_ms if delay_ms else 0,
            0,
            note,
        ),
    )


def interrupt_run(keys: Keys, delivery: Delivery) -> ScriptCall:
    """Build the call that gives back an entry whose handler has begun and was stopped because its worker ends."""
    message = delivery.message
    attempt = keys.attempt(ids.attempt_id(message.run, delivery.attempt))
    return script("interrupt_run")(
        (delivery.stream.decode(), keys.run(message.run), attempt, *halt_keys(keys, message)),
        (delivery.entry, encode_message(message), delivery.attempt, delivery.crashes),
    )


def halt_keys(keys: Keys, message: Message) -> tuple[str, ...]:
    """Return the record that says whether the occurrence or the group of the run has been halted meanwhile."""
    if message.task_ref is not None:
        return (keys.occurrence(message.task_ref.occurrence),)
    return (keys.group(message.member.group),) if message.member is not None else ()


def request_cancel(keys: Keys, run: str, entry: str, now: int, reason: str = "") -> ScriptCall:
    """Build the call that asks the worker which has this entry in flight to cancel the run."""
    return script("request_cancel")((keys.run(run), keys.cancels), (run, entry, now, reason[:MAX_REASON_LENGTH]))
