"""What a worker and a process beside it say to each other. Fields of bytes hold JSON unless they say otherwise.

The worker says ImportApp and hears AppImported. Then, for each attempt, it says Assignment and hears Done. Between the
two the process tells (AddNote, AddLogLine, ForwardRecord, SetProgress, SetTimeLimit) and asks (Question, ReadResults,
MapItems); each question is answered by a QuestionReply, MapItems after the worker has said NextItems as long as an
ItemBatch came. The worker says StopRequest when the handler should end.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.runs.settle import Outcome


class ImportApp(msgspec.Struct, frozen=True, tag=True):
    """What to import, and where from; log_level is the worker's own."""

    app: str
    path: list[str]
    log_level: int


class AppImported(msgspec.Struct, frozen=True, tag=True):
    """The app is imported, or why it is not."""

    error: str = ""


class ShardLocation(msgspec.Struct, frozen=True):
    """Where a run lives, as its worker knows it, so that its process need not ask the server: now_ms is its time."""

    namespace: str
    shard: int
    shards: int
    now_ms: int


class Assignment(msgspec.Struct, frozen=True, tag=True):
    """Call this handler.

    context: its circumstances. supplied: values by parameter. groups: how many runs there are of a group whose
    results are asked for by parameter, and how many have failed; the results themselves are read by `ReadResults`.
    """

    handler: str
    payload: bytes
    context: bytes
    place: ShardLocation
    permissions: Permissions
    supplied: dict[str, bytes]
    groups: dict[str, tuple[int, int]]


class AddNote(msgspec.Struct, frozen=True, tag=True):
    """A line for the attempt's record."""

    text: str
    level: str


class AddLogLine(msgspec.Struct, frozen=True, tag=True):
    """A line for the worker's log and the attempt's record; trace is that of an exception."""

    text: str
    level: int
    trace: str


class ForwardRecord(msgspec.Struct, frozen=True, tag=True):
    """A line for the worker's log that any other logger was given; facts are what it knows, as JSON."""

    logger: str
    level: int
    text: str
    trace: str
    facts: bytes


class SetProgress(msgspec.Struct, frozen=True, tag=True):
    """How far the attempt has come."""

    progress: Progress


class SetTimeLimit(msgspec.Struct, frozen=True, tag=True):
    """Stop the attempt after so many seconds."""

    seconds: float


class Question(msgspec.Struct, frozen=True, tag=True):
    """A question to the worker."""

    what: Literal["last_run_at", "first_of_occurrence"]


class ReadResults(msgspec.Struct, frozen=True, tag=True):
    """Read results of the group that a parameter stands for; the answer is a list, which may be shorter."""

    parameter: str
    first: int
    count: int


class MapItems(msgspec.Struct, frozen=True, tag=True):
    """Make a run of each item to come; the answer is the id of the run that waits for them."""

    task: str
    reduce: str | None
    failure: str | None


class NextItems(msgspec.Struct, frozen=True, tag=True):
    """Send more items."""


class ItemBatch(msgspec.Struct, frozen=True, tag=True):
    """Payloads of the next runs; none when there are no more."""

    payloads: list[bytes]


class AbortItems(msgspec.Struct, frozen=True, tag=True):
    """There will be no more items, because making them raised an exception."""


class QuestionReply(msgspec.Struct, frozen=True, tag=True):
    """To a question; with an error, the name of its class and its text instead."""

    value: Any = None
    error: str = ""
    text: str = ""


class StopRequest(msgspec.Struct, frozen=True, tag=True):
    """The handler should end, and why."""

    why: str


class TransactionWrite(msgspec.Struct, frozen=True):
    """A write of the handler's transaction; key is the whole key, numbers and texts are as the server gets them."""

    command: str
    key: str
    args: list[Any]


class FollowUp(msgspec.Struct, frozen=True):
    """A call of the handler's transaction: its message, and the script that enqueues it."""

    message: bytes
    script: str
    keys: list[str]
    args: list[Any]


class Done(msgspec.Struct, frozen=True, tag=True):
    """How the attempt ended, what is to be applied with its outcome, and what memory the process holds now."""

    outcome: Outcome
    memory_mib: float
    writes: list[TransactionWrite] = []
    follow_ups: list[FollowUp] = []


ToProcess = ImportApp | Assignment | StopRequest | QuestionReply | NextItems
FromProcess = (
    AppImported
    | AddNote
    | AddLogLine
    | ForwardRecord
    | SetProgress
    | SetTimeLimit
    | Question
    | ReadResults
    | MapItems
    | ItemBatch
    | AbortItems
    | Done
)
Frame = ToProcess | FromProcess
