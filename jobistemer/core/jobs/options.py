"""Options that cascade: app defaults, job, task, call. The last level that sets an option wins."""

from __future__ import annotations

from typing import Any

import msgspec

from jobistemer.core.checks import check_name, check_range, check_whole
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.jobs.limits import Limit, check_limits
from jobistemer.core.jobs.retries import Exponential, RetryPolicy

DEFAULT_PRIORITY = 5
DEFAULT_MAX_CRASHES = 3
LOWEST_PRIORITY, HIGHEST_PRIORITY = 0, 9
MAX_CRASHES = 100
DEFAULT_DEAD_RETENTION_S = 7 * 86_400.0
LONGEST_TIMEOUT_S = 86_400 * 366
LONGEST_RETENTION_S = 86_400 * 3660
AUTO, PROCESS = "auto", "process"
EXECUTORS = (AUTO, PROCESS)


class Options(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The options that one level sets; None leaves an option to the levels above.

    queue: name of the queue. priority: 0–9, higher first. timeout_s: seconds that one attempt may take. retry: the
    policy for failed attempts. retention_s: seconds that the records of an ended run are kept. executor: where workers
    run it: `auto`, a thread or the event loop as the function asks for, or `process`, a process beside the worker that
    can be killed; chosen where a task is declared, not for a single call. max_crashes: how many workers may die while
    they run it before it is given up; crashes use up no retries. dead_retention_s: seconds that a dead run is kept
    among the dead letters, 7 days by default; never less than retention_s. on_dead: the task, or its name, that is
    enqueued when the run is out of attempts, empty for none. limits: how many runs may go on at a time or start in a
    period: Concurrency(…) and Rate(…), all of them. Raises InvalidDefinition or InvalidName for values out of range.
    """

    queue: str | None = None
    priority: int | None = None
    timeout_s: float | None = None
    retry: RetryPolicy | None = None
    retention_s: float | None = None
    executor: str | None = None
    max_crashes: int | None = None
    on_dead: str | None = None
    limits: tuple[Limit, ...] | None = None
    dead_retention_s: float | None = None

    def __post_init__(self) -> None:
        if self.queue is not None:
            check_name("queue", self.queue)
        if self.priority is not None:
            check_range("priority", self.priority, LOWEST_PRIORITY, HIGHEST_PRIORITY, InvalidDefinition)
        if isinstance(self.priority, float):
            raise InvalidDefinition(f"priority is {self.priority!r}, allowed are whole numbers from 0 to 9")
        if self.timeout_s is not None:
            check_range("timeout_s", self.timeout_s, 0.001, LONGEST_TIMEOUT_S, InvalidDefinition)
        if self.retention_s is not None:
            check_range("retention_s", self.retention_s, 1, LONGEST_RETENTION_S, InvalidDefinition)
        if self.dead_retention_s is not None:
            check_range("dead_retention_s", self.dead_retention_s, 1, LONGEST_RETENTION_S, InvalidDefinition)
        if self.executor is not None and self.executor not in EXECUTORS:
            raise InvalidDefinition(f"executor is {self.executor!r:.80}, allowed are {' and '.join(EXECUTORS)}")
        if self.max_crashes is not None:
            check_whole("max_crashes", self.max_crashes, 1, MAX_CRASHES, InvalidDefinition)
        if self.on_dead is not None:
            # Callers may give the task object itself.
            msgspec.structs.force_setattr(self, "on_dead", getattr(self.on_dead, "name", self.on_dead))
        if self.on_dead:
            check_name("on_dead task", self.on_dead)
        if self.retry is not None and not isinstance(self.retry, RetryPolicy):
            raise InvalidDefinition(f"retry is {self.retry!r}, allowed are Exponential(…), Delays((…)) or NO_RETRIES")
        if self.limits is not None:
            # Callers may write a list; options are compared and hashed, so a tuple is kept.
            msgspec.structs.force_setattr(self, "limits", check_limits("options", self.limits))


class CompleteOptions(msgspec.Struct, frozen=True):
    """Options that all have a value; the fields mean what they mean in Options."""

    queue: str = "default"
    priority: int = DEFAULT_PRIORITY
    timeout_s: float = 3600.0
    retry: RetryPolicy = Exponential()
    retention_s: float = 86_400.0
    executor: str = AUTO
    max_crashes: int = DEFAULT_MAX_CRASHES
    on_dead: str = ""
    limits: tuple[Limit, ...] = ()
    dead_retention_s: float = DEFAULT_DEAD_RETENTION_S


DEFAULTS = CompleteOptions()


class EffectiveOption(msgspec.Struct, frozen=True):
    """The value of one option and the level that it comes from."""

    value: Any
    source: str


def resolve_options(levels: list[tuple[str, Options]]) -> dict[str, EffectiveOption]:
    """Return the effective options of named levels, the weakest first.

    An option that no level sets comes from `default`.
    """
    effective = {field: EffectiveOption(getattr(DEFAULTS, field), "default") for field in Options.__struct_fields__}
    for source, options in levels:
        for field in Options.__struct_fields__:
            value = getattr(options, field)
            if value is not None:
                effective[field] = EffectiveOption(value, source)
    return effective


def merge_options(*levels: Options) -> Options:
    """Merge levels, the weakest first, into one level that sets what they set together; for storing."""
    return Options(**_merge_given(levels))


def complete_options(*levels: Options) -> CompleteOptions:
    """Complete levels, the weakest first, with the defaults."""
    return CompleteOptions(**_merge_given(levels))


def _merge_given(levels: tuple[Options, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for options in levels:
        given |= {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
    return given
