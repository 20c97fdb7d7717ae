"""Calls that a handler's transaction enqueues: their runs are created on the shard of the run itself."""

from __future__ import annotations

from typing import Any

from jobistemer.app.producer import Producer
from jobistemer.app.request import Request
from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput
from jobistemer.core.runs.message import Message
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall


def prepare_follow_up(producer: Producer, keys: Keys, request: Any) -> tuple[Message, ScriptCall]:
    """Return the message of a request and the call that creates its run on the shard with these keys.

    A queue that is being drained takes this run: it is a consequence of a run that the queue still executes, and an
    outcome that is recorded without it would be half of a transaction.
    Raises what `Producer.prepare` raises, and InvalidInput when the unique key of the request belongs to another shard.
    """
    if not isinstance(request, Request):
        raise InvalidInput(f"transaction: {show(request)} is no call; give task.request(…) or app.request(…)")
    message, call = producer.prepare(request, keys)
    # The script refuses a run whose place is in the set of closed places, so it is given a key without value instead.
    if call.keys[0] == keys.run(message.run):
        return message, call._replace(keys=tuple(keys.nothing if key == keys.closed else key for key in call.keys))
    raise InvalidInput(
        f"transaction: task {show(request.task)} with a unique key belongs to another shard, "
        "where nothing can be written in the same step; leave the key out, or enqueue it from the handler"
    )
