"""The call that returns fetched entries which have not begun to the front of their queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.runs.message import Delivery, encode_message
from jobistemer.store.calls.limits import holder_value, permits_key
from jobistemer.store.keys import Keys, front_of, place
from jobistemer.store.scripts import ScriptCall, script

MAX_RUNS_PER_CALL = 100


class Unstarted(NamedTuple):
    """A fetched entry that has not begun, with the limits that have admitted it."""

    delivery: Delivery
    limit_uses: tuple[LimitUse, ...] = ()


def return_runs(keys: Keys, unstarted: Sequence[Unstarted]) -> ScriptCall:
    """Build the call that puts up to 100 entries at the front of their queues, in this order."""
    touched: list[Any] = [keys.streams]
    args: list[Any] = [len(unstarted)]
    for delivery, uses in unstarted:
        message = delivery.message
        front = front_of(place(message.queue, message.priority))
        touched += (delivery.stream.decode(), keys.run(message.run), keys.stream(front))
        touched += (permits_key(keys, use) for use in uses)
        args += (delivery.entry, front, holder_value(delivery.stream, delivery.entry), message.run)
        args += (encode_message(message), delivery.attempt, delivery.crashes, len(uses))
        args += (use.per_ms for use in uses)
    return script("return_runs")(tuple(touched), tuple(args))
