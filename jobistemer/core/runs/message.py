"""The wire format of a task run: what an entry of a stream carries.

What a script counts (number of the attempt, crashes so far) stands in fields of its own beside the message, so that it
need not understand the JSON. A message changes only when its run is suspended, see `WIRE_VERSION`. Workers of two
releases read the same streams during a deployment: a name in JSON stays for ever, also where the field has a new name.
Before the first release one field became one that may be missing (docs/decisions/0269).
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import msgspec

from jobistemer.core.errors import InvalidInput
from jobistemer.core.ids import read_enqueue_ms
from jobistemer.core.jobs.options import DEFAULT_MAX_CRASHES, DEFAULT_PRIORITY, CompleteOptions
from jobistemer.core.jobs.retries import Exponential, RetryPolicy
from jobistemer.core.payload_json import ENCODING_ERRORS
from jobistemer.core.unreadable import Unreadable, read_value

WIRE_VERSION: Final = 2
"""The latest version of messages that this version writes and reads. A message of version 1 does not name it.

Version 2 is the message of a run that has steps on record or has been put off by itself: a worker that does not know
steps would begin it anew, so it must not read it. All other messages are of version 1.

A message that older workers could not read, or would misread, has a later one in its field `wire`. A worker that meets
one puts it off until a worker that can read it takes it.
"""
EMPTY_PAYLOAD = msgspec.Raw(b"{}")


class TaskRef(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"version": "v", "due": "at", "stands_alone": "alone"},
):
    """A reference to one task of one occurrence, carried by the run of that task.

    due: Unix seconds. since: for a compressed run, the cursor before the first instant that the run stands for.
    stands_alone: a success of the run concerns only the run and its occurrence: no other task, no `on_complete`, no
    count of outcomes.
    """

    occurrence: str
    job: str
    version: int
    due: int
    task: str
    since: int | None = None
    stands_alone: bool = False


class GroupMember(msgspec.Struct, frozen=True, omit_defaults=True):
    """The membership of a run in a group, by index.

    A group has the id of its reducer's run. That run waits until the members have ended and goes to `place`
    (queue:priority) then. parent: the run that is suspended until the members have ended, empty for none; it is the one
    that goes to `place` then.
    """

    group: str
    index: int
    place: str = f"default:{DEFAULT_PRIORITY}"
    parent: str = ""


class Undoing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of a run whose steps are being undone: its state and error, and what it contributes to its occurrence."""

    state: str
    error: str = ""
    verdict: str = ""
    spent: bool = False


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task run as it travels from the producer to a worker.

    enqueued_at: Unix milliseconds of server time; 0 where the id of the run says it, see `enqueue_ms`.
    timeout_ms: limit of one attempt, 0 for none.
    retention_ms: how long the records of the ended run are kept; dead_retention_ms: how long those of a dead run are.
    task_ref (`slot` in JSON): the task of an occurrence that the run is, None for a call.
    unique: the key of the run's unique lock, empty for none; unique_queued: the lock is released when the run starts.
    expires_at: Unix milliseconds after which the run is not started any more, 0 for never.
    metadata: what the call is about; headers: what travels with the call, such as a trace or a user.
    max_crashes: how many workers may die of the run. on_dead: the task that is enqueued when the run is out of
    attempts, empty for none. dead_letters: whether the run becomes a dead letter then.
    member: the group that the run belongs to.
    wire: see `WIRE_VERSION`. suspended: how many attempts have ended suspended, snoozes: how many of them by Snooze;
    they use up no retry. can_undo: a step of the run has a function that undoes it; undoing: that is being done.
    group_strategy (`reduces` in JSON): for a reducer, the failure strategy of the group whose results it receives.
    """

    run: str
    handler: str
    enqueued_at: int = 0
    payload: msgspec.Raw = EMPTY_PAYLOAD
    queue: str = "default"
    priority: int = DEFAULT_PRIORITY
    timeout_ms: int = 300_000
    retry: RetryPolicy = Exponential()
    retention_ms: int = 86_400_000
    task_ref: TaskRef | None = msgspec.field(default=None, name="slot")
    unique: str = ""
    metadata: dict[str, str] = {}
    max_crashes: int = DEFAULT_MAX_CRASHES
    on_dead: str = ""
    member: GroupMember | None = None
    group_strategy: str = msgspec.field(default="", name="reduces")
    unique_queued: bool = False
    expires_at: int = 0
    headers: dict[str, str] = {}
    dead_retention_ms: int = 604_800_000
    dead_letters: bool = True
    # A type of these values, so that reading another one fails: a check in Python would be paid for each run.
    wire: Literal[1, 2] = 1
    suspended: int = 0
    snoozes: int = 0
    can_undo: bool = False
    undoing: Undoing | None = None

    @property
    def enqueue_ms(self) -> int:
        """Return when the run was enqueued, in Unix milliseconds of server time."""
        return self.enqueued_at or read_enqueue_ms(self.run)


class Delivery(msgspec.Struct, frozen=True):
    """A message as one worker received it, for one attempt.

    entry: the id of the stream entry. A worker commits only while its entry is still the latest of the run, so the id
    fences off a worker that has lost the run. attempt counts from 0; crashes: how many attempts before were lost.
    """

    stream: bytes
    entry: bytes
    message: Message
    attempt: int
    crashes: int


_DEFAULTS = dict(zip(Message.__struct_fields__[2:], Message.__struct_defaults__, strict=True))


def compose_message(run: str, handler: str, enqueued_at: int, **fields: Any) -> Message:
    """Build a message that carries only what differs from the defaults.

    msgspec leaves out a field only when it holds the very object that is its default; an equal object would be sent.
    """
    # What `drop_defaults` does, without entering it for each message.
    own = {name: value for name, value in fields.items() if value != _DEFAULTS[name]}
    return Message(run, handler, enqueued_at, **own)


def drop_defaults(**fields: Any) -> dict[str, Any]:
    """Return the fields of a message that differ from their defaults."""
    return {name: value for name, value in fields.items() if value != _DEFAULTS[name]}


def to_message_fields(options: CompleteOptions) -> dict[str, Any]:
    """Translate options to fields of a message, by name; seconds become milliseconds."""
    return {
        "queue": options.queue,
        "priority": options.priority,
        "timeout_ms": round(options.timeout_s * 1000),
        "retry": options.retry,
        "retention_ms": round(options.retention_s * 1000),
        "max_crashes": options.max_crashes,
        "on_dead": options.on_dead,
        "dead_retention_ms": round(options.dead_retention_s * 1000),
        "dead_letters": options.dead_letters,
    }


def read_unreadable(raw: bytes, run: str) -> tuple[Message, int]:
    """Return what can be read of a message that cannot be read as a whole, and the wire version that it names.

    run: the id that it gets when it names none.
    """
    parts = read_value("", partial(msgspec.json.decode, type=dict[str, msgspec.Raw]), raw)
    known = {} if isinstance(parts, Unreadable) else parts
    fields: dict[str, Any] = {"run": run, "handler": "", "enqueued_at": 0}
    for field in msgspec.structs.fields(Message):
        if field.encode_name in known:
            read = read_value("", partial(msgspec.json.decode, type=field.type), known[field.encode_name])
            fields |= {} if isinstance(read, Unreadable) else {field.name: read}
    version = read_value("", partial(msgspec.json.decode, type=int), known.get("wire", b"1"))
    message = Message(**{**fields, "run": fields["run"] or run})
    return message, WIRE_VERSION if isinstance(version, Unreadable) else version


def read_message(raw: bytes, run: str) -> Message:
    """Return a message, or what can be read of it. run: see `read_unreadable`."""
    read = read_value("", decode_message, raw)
    return read_unreadable(raw, run)[0] if isinstance(read, Unreadable) else read


def explain_unreadable(raw: bytes) -> str:
    """Return why a message cannot be read."""
    read = read_value("", decode_message, raw)
    return read.reason if isinstance(read, Unreadable) else "the fields beside it are no numbers"


encode_message = msgspec.json.Encoder().encode
decode_message = msgspec.json.Decoder(Message).decode


def check_readable(message: Message) -> None:
    """Check that a worker of this version reads a message back as it is. Raises InvalidInput."""
    try:
        if decode_message(encode_message(message)) == message:
            return
        reason = "it would be read as another one"
    except ENCODING_ERRORS as error:
        reason = str(error)
    raise InvalidInput(f"a call of task {message.handler!r} cannot be written so that a worker reads it: {reason}")
