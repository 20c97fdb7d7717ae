"""Calls that a handler's transaction enqueues: prepared so that they live on the shard of the run itself."""

from __future__ import annotations

from typing import Any

from jobistemer.app.producer import Producer
from jobistemer.app.request import Request
from jobistemer.core.errors import InvalidInput
from jobistemer.core.runs.message import Message
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call


def prepare_follow_up(producer: Producer, keys: Keys, request: Any) -> tuple[Message, Call]:
    """The message of a request and the call that creates its run, on the shard that has these keys.

    A queue that is being drained takes it all the same: a follow-up belongs to what is being worked off, and an outcome
    that is recorded without it would be half of a transaction.

    Raises what preparing it anywhere would raise, and InvalidInput when its unique key belongs to another shard.
    """
    if not isinstance(request, Request):
        raise InvalidInput(f"transaction: {request!r:.80} is no call; give task.request(…) or app.request(…)")
    message, call = producer.prepare(request, keys)
    if call.keys[0] == keys.run(message.run):
        return message, call._replace(keys=tuple(keys.nothing if key == keys.closed else key for key in call.keys))
    raise InvalidInput(
        f"transaction: task {request.task!r} with a unique key belongs to another shard, "
        "where nothing can be written in the same step; leave the key out, or enqueue it from the handler"
    )
