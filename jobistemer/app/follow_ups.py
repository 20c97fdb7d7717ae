"""Calls that a handler's transaction enqueues: prepared so that they live on the shard of the run itself."""

from __future__ import annotations

from typing import Any

from jobistemer.app.producer import Producer
from jobistemer.app.requests import Request
from jobistemer.core.errors import InvalidInput
from jobistemer.core.messages import Message
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call

TRIES = 20_000
"""Ids are drawn until one hashes to the shard; with the most shards there may be, one in 1024 does."""


def prepare_beside(producer: Producer, keys: Keys, request: Any) -> tuple[Message, Call]:
    """The message of a request and the call that creates its run, on the shard that has these keys.

    Raises what preparing it anywhere would raise, and InvalidInput when its unique key belongs to another shard.
    """
    if not isinstance(request, Request):
        raise InvalidInput(f"transaction: {request!r:.80} is no call; give task.request(…) or app.request(…)")
    for _ in range(TRIES):
        message, call = producer.prepare(request)
        if call.keys[0] == keys.run(message.run):
            return message, call
        if request.single is not None:
            break
    raise InvalidInput(
        f"transaction: task {request.task!r} with a unique key belongs to another shard, "
        "where nothing can be written in the same step; leave the key out, or enqueue it from the handler"
    )
