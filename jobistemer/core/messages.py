"""The wire format of a task run: what an entry of a stream carries.

A message never changes during the life of its run; what does change (number of the try,
crashes so far) stands in fields of its own beside it, so that a script can count without
understanding the message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jobistemer.core.options import DEFAULT_PRIORITY
from jobistemer.core.retries import Exponential, RetryPolicy

EMPTY_PAYLOAD = msgspec.Raw(b"{}")


class Slot(msgspec.Struct, frozen=True, omit_defaults=True, rename={"due": "at", "version": "v"}):
    """Which task of which occurrence a run is.

    since: for a compressed run, the cursor before the first instant that it stands for.
    """

    occurrence: str
    job: str
    version: int
    due: int
    task: str
    since: int | None = None


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task run on its way.

    timeout_ms: limit of one attempt, 0 for none. retention_ms: how long the records of the ended run are kept.
    enqueued_at: Unix milliseconds of server time. unique: the key of its unique lock, empty for none.
    """

    run: str
    handler: str
    enqueued_at: int
    payload: msgspec.Raw = EMPTY_PAYLOAD
    queue: str = "default"
    priority: int = DEFAULT_PRIORITY
    timeout_ms: int = 3_600_000
    retry: RetryPolicy = Exponential()
    retention_ms: int = 86_400_000
    slot: Slot | None = None
    unique: str = ""
    metadata: dict[str, str] = {}


class Delivery(msgspec.Struct, frozen=True):
    """A message as one worker received it: one attempt. `entry` is the fence."""

    stream: bytes
    entry: bytes
    message: Message
    attempt: int
    crashes: int


_DEFAULTS = dict(zip(Message.__struct_fields__[3:], Message.__struct_defaults__, strict=True))


def compose(run: str, handler: str, enqueued_at: int, **fields: Any) -> Message:
    """A message that carries only what differs from the defaults.

    msgspec leaves out a field only when it holds the very object that is its default; an equal one would be sent.
    """
    said = {name: value for name, value in fields.items() if value != _DEFAULTS[name]}
    return Message(run, handler, enqueued_at, **said)


encode_message = msgspec.json.Encoder().encode
decode_message = msgspec.json.Decoder(Message).decode
