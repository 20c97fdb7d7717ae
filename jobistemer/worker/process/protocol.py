"""The protocol between a worker and a handler process. Fields of bytes hold JSON unless they say otherwise.

worker                                process
ImportApp        ──────────────────>
                 <──────────────────  AppImported
Assignment       ──────────────────>                     once for each attempt
                 <──────────────────  AddNote, AddLogLine, ForwardRecord, SetProgress, SetTimeLimit
                 <──────────────────  Question, ReadResults, RecordSteps, CollectPart
QuestionReply    ──────────────────>
                 <──────────────────  MapItems
NextItems        ──────────────────>
                 <──────────────────  ItemBatch, AbortItems
QuestionReply    ──────────────────>                     after an empty ItemBatch, or AbortItems
StopRequest      ──────────────────>                     at any time: the handler should end
                 <──────────────────  HandlerEnded
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.sizes import DEFAULT_BYTES


class ImportApp(msgspec.Struct, frozen=True, tag=True):
    """The app to import (MODULE:APP), with the module search path and the log level of the worker."""

    app: str
    path: list[str]
    log_level: int


class AppImported(msgspec.Struct, frozen=True, tag=True):
    """The end of the import; error says why it failed, empty when it did not."""

    error: str = ""


class ShardLocation(msgspec.Struct, frozen=True):
    """The shard of a run and the server's time (now_ms), which a process then need not ask the server for."""

    namespace: str
    shard: int
    shards: int
    now_ms: int


class Assignment(msgspec.Struct, frozen=True, tag=True):
    """The call of a handler.

    context: an AttemptInfo, whose number is `attempt`. result_bytes: how large a result may be. is_undoing: its
    steps are to be undone.
    supplied: injected values by parameter. groups: for each parameter that is the results of a
    group, how many runs the group has and how many of them failed; ReadResults reads the results themselves.
    """

    handler: str
    payload: bytes
    context: bytes
    place: ShardLocation
    permissions: Permissions
    supplied: dict[str, bytes]
    groups: dict[str, tuple[int, int]]
    attempt: int = 0
    is_undoing: bool = False
    result_bytes: int = DEFAULT_BYTES


class AddNote(msgspec.Struct, frozen=True, tag=True):
    """A line for the attempt's record."""

    text: str
    level: str


class AddLogLine(msgspec.Struct, frozen=True, tag=True):
    """A line for the worker's log and the attempt's record; trace is the traceback of an exception."""

    text: str
    level: int
    trace: str


class ForwardRecord(msgspec.Struct, frozen=True, tag=True):
    """A line of any other logger for the worker's log; facts are its fields."""

    logger: str
    level: int
    text: str
    trace: str
    facts: bytes


class SetProgress(msgspec.Struct, frozen=True, tag=True):
    """The progress of the attempt."""

    progress: Progress


class SetTimeLimit(msgspec.Struct, frozen=True, tag=True):
    """The seconds after its start at which the attempt is to be stopped."""

    seconds: float


class Question(msgspec.Struct, frozen=True, tag=True):
    """A question that the worker answers from Redis."""

    what: Literal["cancel_reason", "last_run_at", "first_of_occurrence", "steps", "signals"]


class ReadResults(msgspec.Struct, frozen=True, tag=True):
    """A request for results of the group of a parameter; the reply is a list, which may be shorter than `count`."""

    parameter: str
    first: int
    count: int


class TransactionWrite(msgspec.Struct, frozen=True):
    """A write of the handler's transaction, with the whole key and the arguments as the server gets them."""

    command: str
    key: str
    args: list[Any]


class FollowUp(msgspec.Struct, frozen=True):
    """A call that the handler's transaction enqueues: its message, and the script with its keys and arguments."""

    message: bytes
    script: str
    keys: list[str]
    args: list[Any]


class RecordSteps(msgspec.Struct, frozen=True, tag=True):
    """A request to write records of steps, see StepUpdate; the reply is DONE or SIGNALED, OVER when it is refused.

    has_reply: False for records that nobody waits for.
    """

    records: dict[str, bytes]
    take: str
    unless: str
    writes: list[TransactionWrite] = []
    follow_ups: list[FollowUp] = []
    has_reply: bool = True


class CollectPart(msgspec.Struct, frozen=True, tag=True):
    """A request for the results of the runs of a step; the reply is None while they go on."""

    group: str
    count: int


class MapItems(msgspec.Struct, frozen=True, tag=True):
    """A request to add a run for each of the items that follow; the reply is the id of the run that waits for them.

    part: the number of the step that they are added for, 0 for none; then the reply is their group and their number.
    """

    task: str
    reduce: str | None
    failure: str | None
    part: int = 0


class NextItems(msgspec.Struct, frozen=True, tag=True):
    """A request for more items."""


class ItemBatch(msgspec.Struct, frozen=True, tag=True):
    """Payloads of the next runs; an empty list when there are no more."""

    payloads: list[bytes]


class AbortItems(msgspec.Struct, frozen=True, tag=True):
    """The end of the items because their iterator raised an exception."""


class QuestionReply(msgspec.Struct, frozen=True, tag=True):
    """The answer to a question: its value, or the class name and the text of an error."""

    value: Any = None
    error: str = ""
    text: str = ""


class StopRequest(msgspec.Struct, frozen=True, tag=True):
    """A request that the handler should end, with the reason."""

    why: str


class HandlerEnded(msgspec.Struct, frozen=True, tag=True):
    """The outcome of an attempt, its transaction, and the memory that the process holds afterwards."""

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
    | RecordSteps
    | CollectPart
    | MapItems
    | ItemBatch
    | AbortItems
    | HandlerEnded
)
Frame = ToProcess | FromProcess
