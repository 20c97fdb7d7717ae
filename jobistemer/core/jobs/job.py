"""Definitions: jobs, their tasks and their policies, as frozen values.

What is registered is the JSON of a `Job`; every decision of a ticker or a worker about a job is made from that value.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha1
from typing import Final, get_args

import msgspec

from jobistemer.core import ids
from jobistemer.core.checks import check_all, check_choice, check_name, check_range, check_whole, show
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.jobs.alert import check_alert
from jobistemer.core.jobs.graph import Edges, check_graph
from jobistemer.core.jobs.options import LONGEST_TIMEOUT_S, Options, merge_options
from jobistemer.core.schedules import AnyCalendar, AnySchedule

MAX_TASKS = 50
MAX_QUEUED_LIMIT = 10_000
DEFAULT_HISTORY_S = 7 * 86_400.0
_RANGES = (
    ("grace_s", 0, 86_400 * 366),
    ("recovery_back_s", 1, 86_400 * 3660),
    ("catch_up_per_s", 0.1, 1000),
    ("history_s", 60, 86_400 * 3660),
    ("update_window_s", 1, 86_400),
)
_WHOLE_RANGES = (
    ("recovery_limit", 1, 1000),
    ("max_queued", 0, MAX_QUEUED_LIMIT),
    ("history_count", 1, 10_000_000),
    ("pause_on_failure", 0, 1000),
)


class Overlap(StrEnum):
    """Policy for a due instant while an earlier occurrence of its job is not terminal."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"
    REPLACE = "replace"


class Recovery(StrEnum):
    """Policy for instants that were due longer ago than the grace period."""

    EXECUTE_ALL = "execute_all"
    EXECUTE_LAST = "execute_last"
    MARK_AS_MISSED = "mark_as_missed"
    BOUNDED_WINDOW = "bounded_window"
    COMPRESSED = "compressed"


class Update(StrEnum):
    """Policy for a changed definition: at once, cancelling what runs; with the next instant; or in a window."""

    IMMEDIATE = "immediate"
    GRACEFUL = "graceful"
    WINDOWED = "windowed"


class FailureStrategy(StrEnum):
    """Effect of a task that failed for good, after the last retry, on the other tasks of its occurrence.

    The truth table is in docs/reference/failure-strategies.md.
    """

    FAIL_FAST = "fail_fast"
    CONTINUE = "continue"
    RETRY_ON_FAILURE = "retry_on_failure"


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named unit of work of a job.

    handler: name of the callable on the app, by default `{job}.{name}` or, in a job of one task, the job's name.
    payload: keyword arguments of every call, as JSON. after: names of the tasks that must have succeeded before.
    failure: the effect of its failure on the other tasks, by default the job's. origin: the level that each of its
    options comes from; an option that is not named has its default. Raises InvalidName for a name that may not enter a
    key.
    """

    name: str
    handler: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    after: tuple[str, ...] = ()
    options: Options = Options()
    failure: FailureStrategy | None = None
    origin: dict[str, str] = {}

    def __post_init__(self) -> None:
        check_name("task", self.name)
        check_name("handler", self.handler)
        where = f"task {self.name!r}"
        if not isinstance(self.payload, msgspec.Raw) or not isinstance(self.options, Options):
            raise InvalidDefinition(
                f"{where}: payload is {show(self.payload)} and options are {show(self.options)}, allowed are "
                "msgspec.Raw(…) with JSON and Options(…)"
            )
        if isinstance(self.options.retry, int):
            msgspec.structs.force_setattr(self, "options", merge_options(self.options))
        if type(self.after) is not tuple or self.after:
            after = check_all(f"{where}: after", self.after, str, "names of tasks", InvalidDefinition)
            msgspec.structs.force_setattr(self, "after", after)
        if self.failure is not None and type(self.failure) is not FailureStrategy:
            failure = check_choice(f"{where}: failure", self.failure, FailureStrategy, InvalidDefinition)
            msgspec.structs.force_setattr(self, "failure", failure)


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule, its policies and one or more tasks.

    grace_s: an instant is fired as a matter of course when it is due at most this many seconds ago; an older instant
    was missed and goes through `recovery`. recovery_limit, recovery_back_s: how many instants, and how many seconds
    back, a bounded window executes. catch_up_per_s: how many missed instants are fired a second at the most, so that a
    restart after a long outage floods no queue. max_queued: how many occurrences may wait under overlap `queue`.
    history_s: seconds that the records of an ended occurrence are kept; history_count: how many occurrences are kept at
    the most, the latest ones. update: how this definition takes over from the one before; with `windowed` it does so
    while a window is open, which is for update_window_s seconds from each instant of update_window on. on_complete: the
    task that runs after the end of each occurrence, whatever its outcome. pause_on_failure: after so many failed
    occurrences in a row the job pauses itself, 0 for never. expect_within_s, alert: when the job has not completed for
    so many seconds, `alert` is notified once, and once more when the job has completed again; it is an address
    (https://…) or the name of a task. occurrence_timeout_s: an occurrence that has not ended so many seconds after its
    start is cancelled and recorded as timed out; without it there is no limit. Raises InvalidDefinition for a job that
    cannot be registered.
    """

    name: str
    schedule: AnySchedule
    tasks: tuple[Task, ...]
    calendars: tuple[AnyCalendar, ...] = ()
    overlap: Overlap = Overlap.SKIP
    max_queued: int = 100
    recovery: Recovery = Recovery.EXECUTE_LAST
    recovery_limit: int = 100
    recovery_back_s: float = 86_400.0
    catch_up_per_s: float = 10.0
    grace_s: float = 60.0
    failure: FailureStrategy = FailureStrategy.FAIL_FAST
    history_s: float = DEFAULT_HISTORY_S
    description: str = ""
    occurrence_timeout_s: float | None = None
    update: Update = Update.GRACEFUL
    update_window: AnySchedule | None = None
    on_complete: Task | None = None
    history_count: int = 100_000
    pause_on_failure: int = 0
    expect_within_s: float | None = None
    alert: str = ""
    update_window_s: float = 600.0

    def __post_init__(self) -> None:
        check_name("job", self.name)
        _check_kinds(self)
        if not 1 <= len(self.tasks) <= MAX_TASKS:
            raise InvalidDefinition(f"job {self.name!r} has {len(self.tasks)} tasks, allowed are 1–{MAX_TASKS}")
        if len(self.tasks) > 1 or self.tasks[0].after:
            check_graph(self.name, self.edges, len(self.tasks))
        # A deployment reads definitions by the ten thousand, and nearly all of them are in order: the text of an error
        # is made only where one may be due.
        for field, low, high in _RANGES:
            if type(value := getattr(self, field)) is not float or not low <= value <= high:
                check_range(f"job {self.name!r}: {field}", value, low, high, InvalidDefinition)
        for field, low, high in _WHOLE_RANGES:
            if type(value := getattr(self, field)) is not int or not low <= value <= high:
                check_whole(f"job {self.name!r}: {field}", value, low, high, InvalidDefinition)
        if self.occurrence_timeout_s is not None:
            field = f"job {self.name!r}: occurrence_timeout_s"
            check_range(field, self.occurrence_timeout_s, 1, LONGEST_TIMEOUT_S, InvalidDefinition)
        check_alert(self.name, self.expect_within_s, self.alert)
        if self.expect_within_s is not None:
            check_range(f"job {self.name!r}: expect_within_s", self.expect_within_s, 1, 86_400 * 366, InvalidDefinition)
        _check_update(self.name, self.update, self.update_window)

    @property
    def id(self) -> str:
        """The job's id, computed from its name."""
        return ids.job_id(self.name)

    @property
    def stands_alone(self) -> bool:
        """Return whether a success of the job's one task concerns nothing but the occurrence."""
        counted = self.pause_on_failure > 0 or self.expect_within_s is not None
        return len(self.tasks) == 1 and self.on_complete is None and not counted

    @property
    def edges(self) -> Edges:
        """The job's tasks as a graph."""
        return {task.name: task.after for task in self.tasks}

    def task(self, name: str) -> Task:
        """Return the task of this name, which has to be a task of the job."""
        return next(each for each in self.tasks if each.name == name)

    def strategy_of(self, name: str) -> FailureStrategy:
        """Return the effect that a failure of the task `name` has on the other tasks."""
        return self.task(name).failure or self.failure


def _check_kinds(job: Job) -> None:
    """Check that each field holds what its annotation says, which a Struct that is made in Python does not do itself.

    Words become members of their enumeration, lists become tuples. Raises InvalidDefinition.
    """
    where = f"job {job.name!r}"
    if _is_of_its_kinds(job):
        return
    for field, choices in _CHOICES:
        value = getattr(job, field)
        if type(value) is not choices:
            value = check_choice(f"{where}: {field}", value, choices, InvalidDefinition)
            msgspec.structs.force_setattr(job, field, value)
    if not isinstance(job.schedule, AnySchedule) or not isinstance(job.update_window, AnySchedule | None):
        raise InvalidDefinition(
            f"{where}: schedule is {show(job.schedule)} and update_window is {show(job.update_window)}, allowed are "
            "Cron(…), Interval(…), Once(…) and Custom(…); parse_schedule reads a text"
        )
    tasks = check_all(f"{where}: tasks", job.tasks, Task, "Task(…)", InvalidDefinition)
    calendars = check_all(f"{where}: calendars", job.calendars, AnyCalendar, _CALENDARS, InvalidDefinition)
    msgspec.structs.force_setattr(job, "tasks", tasks)
    msgspec.structs.force_setattr(job, "calendars", calendars)
    if not isinstance(job.on_complete, Task | None):
        raise InvalidDefinition(f"{where}: on_complete is {show(job.on_complete)}, allowed is Task(…)")
    if not isinstance(job.description, str) or not isinstance(job.alert, str):
        raise InvalidDefinition(
            f"{where}: description is {show(job.description)} and alert is {show(job.alert)}, allowed are texts"
        )


def _is_of_its_kinds(job: Job) -> bool:
    """Return whether a job is plainly of the kinds that `_check_kinds` asks for, as most jobs are."""
    return (
        type(job.schedule) in _SCHEDULES
        and job.update_window is None
        and type(job.tasks) is tuple
        and {*map(type, job.tasks)} == _ONLY_TASKS
        and job.calendars == ()
        and (job.on_complete is None or type(job.on_complete) is Task)
        and type(job.description) is str
        and type(job.alert) is str
        and type(job.overlap) is Overlap
        and type(job.recovery) is Recovery
        and type(job.update) is Update
        and type(job.failure) is FailureStrategy
    )


def _check_update(name: str, update: Update, window: AnySchedule | None) -> None:
    if (update == Update.WINDOWED) != (window is not None):
        raise InvalidDefinition(
            f"job {name!r}: update is {str(update)!r} and update_window is {show(window)}: update_window says when a "
            "windowed update is applied; give both or neither",
        )


_CHOICES: Final[tuple[tuple[str, type[StrEnum]], ...]] = (
    ("overlap", Overlap),
    ("recovery", Recovery),
    ("update", Update),
    ("failure", FailureStrategy),
)
_SCHEDULES: Final = frozenset(get_args(AnySchedule))
_ONLY_TASKS: Final = {Task}
_CALENDARS: Final = "Holidays(…), Dates(…), Blackout(…) and CronExclusion(…); parse_calendar reads a text"
_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Job)


def encode_job(job: Job) -> bytes:
    """Encode a definition as the JSON that is stored."""
    return _encoder.encode(job)


def decode_job(stored: bytes) -> Job:
    """Decode a stored definition."""
    return _decoder.decode(stored)


class _Named(msgspec.Struct):
    name: str


def decode_job_name(stored: bytes) -> str:
    """Decode only the name of a stored definition, which is cheaper than the whole."""
    return msgspec.json.decode(stored, type=_Named).name


def fingerprint(job: Job) -> str:
    """Return sixteen hex digits that differ when anything in the definition differs."""
    return sha1(encode_job(job), usedforsecurity=False).hexdigest()[:16]
