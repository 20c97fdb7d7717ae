"""Options that cascade: app defaults, job, task, call. The last level that sets an option wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from jobistemer.core.checks import check_name, check_range, check_whole, show
from jobistemer.core.durations import milliseconds
from jobistemer.core.errors import InvalidDefinition, InvalidInput
from jobistemer.core.jobs.limits import Limit, check_limits
from jobistemer.core.jobs.retries import MAX_RETRIES, Exponential, RetryPolicy, set_max_retries

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
    policy for failed attempts, or a number of retries: then the policy of the levels above makes so many. retention_s:
    seconds that the records of an ended run are kept. executor: where workers run it: `auto`, a thread or the event
    loop as the function asks for, or `process`, a process beside the worker that can be killed; chosen where a task is
    declared, not for a single call. max_crashes: how many workers may die while they run it before it is given up;
    crashes use up no retries. dead_retention_s: seconds that a dead run is kept among the dead letters, 7 days by
    default; never less than retention_s. on_dead: the task, or its name, that is enqueued when the run is out of
    attempts, empty for none. limits: how many runs may go on at a time or start in a period: Concurrency(…) and
    Rate(…), all of them. dead_letters: whether a run that is out of attempts is kept among the dead letters; without it
    the run ends as `failed`. Raises InvalidDefinition or InvalidName for values out of range.
    """

    queue: str | None = None
    priority: int | None = None
    timeout_s: float | None = None
    retry: RetryPolicy | int | None = None
    retention_s: float | None = None
    executor: str | None = None
    max_crashes: int | None = None
    on_dead: str | None = None
    limits: tuple[Limit, ...] | None = None
    dead_retention_s: float | None = None
    dead_letters: bool | None = None

    def __post_init__(self) -> None:
        if self.queue is not None:
            check_name("queue", self.queue)
        if self.priority is not None:
            check_whole("priority", self.priority, LOWEST_PRIORITY, HIGHEST_PRIORITY, InvalidDefinition)
        if self.timeout_s is not None:
            check_range("timeout_s", self.timeout_s, 0.001, LONGEST_TIMEOUT_S, InvalidDefinition)
        if self.retention_s is not None:
            check_range("retention_s", self.retention_s, 1, LONGEST_RETENTION_S, InvalidDefinition)
        if self.dead_retention_s is not None:
            check_range("dead_retention_s", self.dead_retention_s, 1, LONGEST_RETENTION_S, InvalidDefinition)
        if self.executor is not None and self.executor not in EXECUTORS:
            raise InvalidDefinition(f"executor is {show(self.executor)}, allowed are {' and '.join(EXECUTORS)}")
        if self.dead_letters is not None and not isinstance(self.dead_letters, bool):
            raise InvalidDefinition(f"dead_letters is {show(self.dead_letters)}, allowed are True and False")
        if self.max_crashes is not None:
            check_whole("max_crashes", self.max_crashes, 1, MAX_CRASHES, InvalidDefinition)
        if self.on_dead is not None:
            msgspec.structs.force_setattr(self, "on_dead", _read_task_name(self.on_dead))
        _check_retry(self.retry)
        if self.limits is not None:
            # Callers may write a list; options are compared and hashed, so a tuple is kept.
            msgspec.structs.force_setattr(self, "limits", check_limits("options", self.limits))


def _read_task_name(task: Any) -> str:
    """Return the name of the task in `on_dead`, which may be the task itself; empty for none."""
    name = getattr(task, "name", task)
    # Only the empty text says "none": False or () would be stored, and no worker could read it.
    return "" if isinstance(name, str) and not name else check_name("on_dead task", name)


def _check_retry(retry: object) -> None:
    if isinstance(retry, int):
        check_whole("retry", retry, 0, MAX_RETRIES, InvalidDefinition)
    elif not isinstance(retry, RetryPolicy | None):
        raise InvalidDefinition(
            f"retry is {show(retry)}, allowed are a number of retries, Exponential(…), Delays((…)) and NO_RETRIES"
        )


class CompleteOptions(msgspec.Struct, frozen=True):
    """Options that all have a value; the fields mean what they mean in Options."""

    queue: str = "default"
    priority: int = DEFAULT_PRIORITY
    timeout_s: float = 300.0
    retry: RetryPolicy = Exponential()
    retention_s: float = 86_400.0
    executor: str = AUTO
    max_crashes: int = DEFAULT_MAX_CRASHES
    on_dead: str = ""
    limits: tuple[Limit, ...] = ()
    dead_retention_s: float = DEFAULT_DEAD_RETENTION_S
    dead_letters: bool = True


DEFAULTS = CompleteOptions()
NO_OPTIONS: Final = Options()


class EffectiveOption(msgspec.Struct, frozen=True):
    """The value of one option and the level that it comes from."""

    value: Any
    source: str


OPTION_NAMES: Final = frozenset(Options.__struct_fields__)
ALIASES: Final = frozenset(("timeout", "max_retries"))
"""What callers may write for a field of Options: `timeout` for timeout_s, `max_retries` for a number in retry."""


def read_options(where: str, given: Mapping[str, Any], error: type[InvalidInput] = InvalidDefinition) -> Options:
    """Read options as they are written in a decorator, a job or a call: fields of Options, and ALIASES.

    where: the task or the call, for errors. Raises InvalidDefinition or InvalidName for a value out of range, and
    `error` for an option that is given twice.
    """
    found = {name: value for name, value in given.items() if name in OPTION_NAMES}
    timeout, max_retries = given.get("timeout"), given.get("max_retries")
    if timeout is not None:
        if found.get("timeout_s") is not None:
            raise error(f"timeout and timeout_s of {where} are both given; give one of them")
        found["timeout_s"] = milliseconds("timeout", timeout, least=1) / 1000
    if max_retries is not None:
        check_whole("max_retries", max_retries, 0, MAX_RETRIES, error)
        if isinstance(found.get("retry"), int):
            raise error(f"retry and max_retries of {where} are both numbers of retries; give one of them")
        _check_retry(found.get("retry"))
        found["retry"] = _choose_retry(found.get("retry"), max_retries)
    return Options(**found) if found else NO_OPTIONS


def _choose_retry(above: RetryPolicy | int | None, retry: RetryPolicy | int) -> RetryPolicy | int:
    """Return what is in force under a level that sets `retry`: a number changes the policy of the levels above."""
    if not isinstance(retry, int) or above is None or isinstance(above, int):
        return retry
    return set_max_retries(above, retry)


def resolve_options(levels: list[tuple[str, Options]]) -> dict[str, EffectiveOption]:
    """Return the effective options of named levels, the weakest first.

    An option that no level sets comes from `default`.
    """
    effective = {field: EffectiveOption(getattr(DEFAULTS, field), "default") for field in Options.__struct_fields__}
    for source, options in levels:
        for field in Options.__struct_fields__:
            value = getattr(options, field)
            if field == "retry" and isinstance(value, int):
                value = set_max_retries(effective[field].value, value)
            if value is not None:
                effective[field] = EffectiveOption(value, source)
    return effective


def find_sources(levels: list[tuple[str, Options]]) -> dict[str, str]:
    """Return the level that each option comes from which any of these levels sets; the weakest first."""
    return {
        field: source
        for source, options in levels
        if options != NO_OPTIONS
        for field, value in msgspec.structs.asdict(options).items()
        if value is not None
    }


def merge_options(*levels: Options) -> Options:
    """Merge levels, the weakest first, into one level that sets what they set together; for storing."""
    return Options(**_merge_given(levels))


def complete_options(*levels: Options) -> CompleteOptions:
    """Complete levels, the weakest first, with the defaults."""
    return CompleteOptions(**_merge_given(levels))


def _merge_given(levels: tuple[Options, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for options in levels:
        if options == NO_OPTIONS:
            continue
        above = given.get("retry")
        given |= {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
        # A stored definition has policies only, so the number is turned into one here.
        if isinstance(given.get("retry"), int):
            given["retry"] = set_max_retries(DEFAULTS.retry if above is None else above, given["retry"])
    return given
