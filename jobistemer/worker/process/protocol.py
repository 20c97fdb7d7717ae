"""What a worker and a process beside it say to each other. Fields of bytes hold JSON unless they say otherwise.

The worker says Start and hears Ready. Then, for each attempt, it says Assignment and hears Done. Between the two the
process tells (Noted, Logged, Recorded, Shown, Limited) and asks (Asked, Reading, Mapping); each question is answered by
an Answer, Mapping after the worker has said More as long as Items came. The worker tells Ending when it has to be.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.permissions import Permissions
from jobistemer.core.runs.settle import Outcome


class Start(msgspec.Struct, frozen=True, tag=True):
    """What to import, and where from; log_level is the worker's own."""

    app: str
    path: list[str]
    log_level: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The app is imported, or why it is not."""

    error: str = ""


class Place(msgspec.Struct, frozen=True):
    """Where a run lives, as its worker knows it, so that its process need not ask the server: now_ms is its time."""

    namespace: str
    shard: int
    shards: int
    now_ms: int


class Assignment(msgspec.Struct, frozen=True, tag=True):
    """Call this handler.

    context: its circumstances. supplied: values by parameter. groups: how many runs there are of a group whose
    results are asked for by parameter, and how many have failed; the results themselves are read by `Reading`.
    """

    handler: str
    payload: bytes
    context: bytes
    place: Place
    permissions: Permissions
    supplied: dict[str, bytes]
    groups: dict[str, tuple[int, int]]


class Noted(msgspec.Struct, frozen=True, tag=True):
    """A line for the attempt's record."""

    text: str
    level: str


class Logged(msgspec.Struct, frozen=True, tag=True):
    """A line for the worker's log and the attempt's record; trace is that of an exception."""

    text: str
    level: int
    trace: str


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """A line for the worker's log that any other logger was given; facts are what it knows, as JSON."""

    logger: str
    level: int
    text: str
    trace: str
    facts: bytes


class Shown(msgspec.Struct, frozen=True, tag=True):
    """How far the attempt has come."""

    progress: Progress


class Limited(msgspec.Struct, frozen=True, tag=True):
    """Stop the attempt after so many seconds."""

    seconds: float


class Asked(msgspec.Struct, frozen=True, tag=True):
    """A question to the worker."""

    what: Literal["last_run_at", "first_of_occurrence"]


class Reading(msgspec.Struct, frozen=True, tag=True):
    """Read results of the group that a parameter stands for; the answer is a list, which may be shorter."""

    parameter: str
    first: int
    count: int


class Mapping(msgspec.Struct, frozen=True, tag=True):
    """Make a run of each item to come; the answer is the id of the run that waits for them."""

    task: str
    reduce: str | None
    failure: str | None


class More(msgspec.Struct, frozen=True, tag=True):
    """Send more items."""


class Items(msgspec.Struct, frozen=True, tag=True):
    """Payloads of the next runs; none when there are no more."""

    payloads: list[bytes]


class Abandoned(msgspec.Struct, frozen=True, tag=True):
    """There will be no more items, because making them raised an exception."""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """To a question; with an error, the name of its class and its text instead."""

    value: Any = None
    error: str = ""
    text: str = ""


class Ending(msgspec.Struct, frozen=True, tag=True):
    """The handler should end, and why."""

    why: str


class Step(msgspec.Struct, frozen=True):
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
    writes: list[Step] = []
    follow_ups: list[FollowUp] = []


ToProcess = Start | Assignment | Ending | Answer | More
FromProcess = Ready | Noted | Logged | Recorded | Shown | Limited | Asked | Reading | Mapping | Items | Abandoned | Done
Frame = ToProcess | FromProcess
