"""The difference of two definitions: which fields change, and which fire times appear and vanish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from sys import intern
from typing import Any

import msgspec

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.jobs.job import Job, Task, encode_job
from jobistemer.core.planning.recovery import is_excluded

DAYS = 30
"""How many days ahead fire times are compared."""
MAX_INSTANTS = 100_000
"""How many instants of each schedule are compared at most; `until` says how far that was."""
PLAN_INSTANTS = 200_000
"""How many instants are compared at most in a plan of many jobs, all of them together."""
MAX_NAMED = 5
"""How many of the fire times that appear or vanish are named."""


class FieldChange(msgspec.Struct, frozen=True):
    """One field that differs; `old` or `new` is None where the field is absent."""

    field: str
    old: Any
    new: Any


class FireTimeChanges(msgspec.Struct, frozen=True):
    """The fire times after `start` up to `until` that only one of two schedules has: number and first ones."""

    start: int
    until: int
    appear: int = 0
    vanish: int = 0
    first_to_appear: tuple[int, ...] = ()
    first_to_vanish: tuple[int, ...] = ()

    @classmethod
    def none(cls, start: int) -> FireTimeChanges:
        """Return that nothing changes in the next thirty days."""
        return cls(start, start + DAYS * 86_400)


class Difference(msgspec.Struct, frozen=True):
    """All differences of two definitions of a job. fields: see `diff_fields`."""

    fields: tuple[FieldChange, ...]
    fires: FireTimeChanges


class InstantBudget:
    """How many instants may still be compared, in a plan of many jobs: one that is due each second has 86,400 a day."""

    def __init__(self, left: int = PLAN_INSTANTS) -> None:
        self.left = left


def diff_jobs(old: Job | None, new: Job | None, now: int, budget: InstantBudget | None = None) -> Difference:
    """Compare two definitions; None is a job that does not exist. now: Unix seconds, when one takes over.

    budget: of the plan that the comparison is for. The fire times of a job for which nothing is left of it are not
    compared, and `until` is `start`.
    """
    return Difference(diff_fields(old, new), diff_fire_times(old, new, now, budget or InstantBudget()))


def diff_fields(old: Job | None, new: Job | None) -> tuple[FieldChange, ...]:
    """Return the fields that differ, by their path, in the order of the definition.

    Of a job that is new, or that goes, these are the fields that it gives: the others have their defaults.
    """
    if old is None or new is None:
        given = _list_given(new or old)
        return tuple([FieldChange(path, *((None, value) if old is None else (value, None))) for path, value in given])
    before, after = dict(_flatten(old)), dict(_flatten(new))
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in dict.fromkeys([*after, *before])
        if before.get(path) != after.get(path)
    )


def diff_fire_times(
    old: Job | None, new: Job | None, start: int, budget: InstantBudget | None = None
) -> FireTimeChanges:
    """Return the fire times of the next thirty days that appear or vanish; an excluded instant does not fire."""
    until, budget = start + DAYS * 86_400, budget or InstantBudget()
    if budget.left == 0 and (old is None or new is None):
        # Of thousands of new jobs nothing is compared but for the first ones.
        return _nothing_compared(start)
    if old is not None and new is not None and old.schedule == new.schedule and old.calendars == new.calendars:
        return FireTimeChanges.none(start)
    before, until = _collect_fire_times(old, start, until, budget)
    after, reached = _collect_fire_times(new, start, until, budget)
    if reached < until:
        # The new schedule hit its limit first: fire times beyond that point would all seem to vanish.
        until, before = reached, {each for each in before if each <= reached}
    appear, vanish = sorted(after - before), sorted(before - after)
    return FireTimeChanges(start, until, len(appear), len(vanish), tuple(appear[:MAX_NAMED]), tuple(vanish[:MAX_NAMED]))


@lru_cache(maxsize=16)
def _nothing_compared(start: int) -> FireTimeChanges:
    return FireTimeChanges(start, start)


def _collect_fire_times(job: Job | None, start: int, until: int, budget: InstantBudget) -> tuple[set[int], int]:
    """Return the fire times up to `until`, or up to where the limit, the budget or a failing schedule ends them.

    Returns that instant too.
    """
    found: set[int] = set()
    if job is None:
        return found, until
    limit, count = min(MAX_INSTANTS, budget.left), 0
    if limit == 0:
        return found, start
    instant = start
    try:
        for count, instant in enumerate(job.schedule.unix_between(start, until), 1):
            if not is_excluded(job, instant):
                found.add(instant)
            if count == limit:
                until = instant
                break
    except InvalidSchedule:
        # One that this process does not know, or that fails, cannot be compared from here on.
        until = instant
    budget.left -= count
    return found, until


def _list_given(job: Job | None) -> list[tuple[str, Any]]:
    """Return the plain values that a definition gives, as `_flatten` does: its JSON leaves out what is a default."""
    found: list[tuple[str, Any]] = []
    if job is not None:
        fields = msgspec.json.decode(encode_job(job))
        fields["tasks"] = {task.pop("name"): task for task in fields.pop("tasks")}
        _collect_given(found, "", fields)
    return found


def _collect_given(found: list[tuple[str, Any]], path: str, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        # A payload is one value, whatever is in it.
        if type(value) is dict and name != "payload":
            _collect_given(found, f"{path}{name}.", value)
        elif value is not None:
            # A plan of many jobs has the same few paths for each of them.
            found.append((intern(f"{path}{name}"), value))


def _flatten(job: Job) -> Iterator[tuple[str, Any]]:
    """Yield each plain value of a definition with its path; a task's path has its name."""
    fields = {name: getattr(job, name) for name in job.__struct_fields__}
    fields["tasks"] = {task.name: _without_name(task) for task in fields.pop("tasks")}
    yield from _iter_leaves("", fields)


def _without_name(task: Task) -> dict[str, Any]:
    return {name: getattr(task, name) for name in task.__struct_fields__ if name != "name"}


def _iter_leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        kind = {"kind": tag} if tag is not None else {}
        value = kind | {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _iter_leaves(f"{path}.{name}" if path else str(name), each)
    elif isinstance(value, msgspec.Raw):
        yield path, msgspec.json.decode(value)
    elif value is not None:
        yield path, msgspec.to_builtins(value)
