"""The wire format of a task run: what an entry of a stream carries.

A message never changes during the life of its run; what does change (number of the try,
crashes so far) stands in fields of its own beside it, so that a script can count without
understanding the message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jobistemer.core.jobs.options import DEFAULT_MAX_CRASHES, DEFAULT_PRIORITY, CompleteOptions
from jobistemer.core.jobs.retries import Exponential, RetryPolicy

EMPTY_PAYLOAD = msgspec.Raw(b"{}")


class TaskRef(msgspec.Struct, frozen=True, omit_defaults=True, rename={"due": "at", "version": "v"}):
    """Which task of which occurrence a run is.

    since: for a compressed run, the cursor before the first instant that it stands for. alone: its success concerns
    nothing but itself and the occurrence: no other task, no `on_complete`, no count of outcomes.
    """

    occurrence: str
    job: str
    version: int
    due: int
    task: str
    since: int | None = None
    alone: bool = False


class GroupMember(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which run of which group a run is; the group is called like its reducer's run, which waits for `place`."""

    group: str
    index: int
    place: str = f"default:{DEFAULT_PRIORITY}"


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task run on its way.

    timeout_ms: limit of one attempt, 0 for none. retention_ms: how long the records of the ended run are kept,
    dead_retention_ms those of a dead one.
    enqueued_at: Unix milliseconds of server time. unique: the key of its unique lock, empty for none;
    unique_queued: the lock is given up when the run starts. expires_at: Unix milliseconds after which it is not
    started any more, 0 for never. metadata says what the call is about, headers what travels with it (a trace, a user).
    max_crashes: how many workers may die of it. on_dead: the task that is told of its death, empty for none.
    member: the group it belongs to. reduces: for a reducer, the failure strategy of the group it receives.
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
    slot: TaskRef | None = None
    unique: str = ""
    metadata: dict[str, str] = {}
    max_crashes: int = DEFAULT_MAX_CRASHES
    on_dead: str = ""
    member: GroupMember | None = None
    reduces: str = ""
    unique_queued: bool = False
    expires_at: int = 0
    headers: dict[str, str] = {}
    dead_retention_ms: int = 604_800_000


class Delivery(msgspec.Struct, frozen=True):
    """A message as one worker received it: one attempt. `entry` is the fence."""

    stream: bytes
    entry: bytes
    message: Message
    attempt: int
    crashes: int


_DEFAULTS = dict(zip(Message.__struct_fields__[3:], Message.__struct_defaults__, strict=True))


def compose_message(run: str, handler: str, enqueued_at: int, **fields: Any) -> Message:
    """A message that carries only what differs from the defaults.

    msgspec leaves out a field only when it holds the very object that is its default; an equal one would be sent.
    """
    return Message(run, handler, enqueued_at, **drop_defaults(**fields))


def drop_defaults(**fields: Any) -> dict[str, Any]:
    """Those fields of a message that differ from the defaults."""
    return {name: value for name, value in fields.items() if value != _DEFAULTS[name]}


def to_message_fields(options: CompleteOptions) -> dict[str, Any]:
    """What options mean for a message, by its field names."""
    return {
        "queue": options.queue,
        "priority": options.priority,
        "timeout_ms": round(options.timeout_s * 1000),
        "retry": options.retry,
        "retention_ms": round(options.retention_s * 1000),
        "max_crashes": options.max_crashes,
        "on_dead": options.on_dead,
        "dead_retention_ms": round(options.dead_retention_s * 1000),
    }


encode_message = msgspec.json.Encoder().encode
decode_message = msgspec.json.Decoder(Message).decode
