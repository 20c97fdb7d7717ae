"""Custom schedules: any object with the questions of a schedule, under a registered name.

What travels is the name and the options; every node that plans such a job has to have registered a factory of that
name.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.instants import DAY, FIRST_UNIX, Due, ScheduleQueries, instant_at, unix_floor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    # From the options of a Custom to the object that answers for it.
    ScheduleFactory = Callable[[Mapping[str, Any]], "CustomSchedule"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_factories: dict[str, ScheduleFactory] = {}


class CustomSchedule(Protocol):
    """The two questions that a custom schedule has to answer, purely, in whole UTC seconds."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first due instant later than `instant`."""

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Return the due instants in (start, end], in order."""


class Custom(
    msgspec.Struct, ScheduleQueries, frozen=True, omit_defaults=True, forbid_unknown_fields=True,
    tag_field="kind", tag="custom",
):  # fmt: skip
    """A schedule that user code computes: a registered `name`, and `options` for its factory.

    Asking it for instants raises InvalidSchedule where no factory of that name is registered, or where it or its
    schedule fails.
    """

    name: str
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check_schedule_name(self.name)
        try:
            self._options_as_text()
        except (TypeError, ValueError) as error:
            raise InvalidSchedule(f"options of custom schedule {self.name!r} are no JSON: {error}") from error

    def __hash__(self) -> int:
        return hash((self.name, self._options_as_text()))

    def _options_as_text(self) -> bytes:
        return msgspec.json.encode(self.options, order="deterministic")

    def _due(self) -> Due:
        return _build_due(self)


def register_schedule(name: str, factory: ScheduleFactory) -> None:
    """Register `factory`, so that `Custom(name, options)` is due when `factory(options)` is.

    A second call for a name replaces the first. Raises InvalidSchedule for a name that is not lower-case letters,
    digits, `_`, `.` and `-`.
    """
    check_schedule_name(name)
    _factories[name] = factory
    _build_due.cache_clear()


def check_schedule_name(name: str) -> None:
    """Check that a name may be registered. Raises InvalidSchedule otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidSchedule(
            f"custom schedule name {show(name)} is not 1–64 of a–z, 0–9, _ . - beginning with a letter"
        )


@lru_cache(maxsize=1024)
def _build_due(custom: Custom) -> Due:
    factory = _factories.get(custom.name)
    if factory is None:
        raise InvalidSchedule(
            f"custom schedule {custom.name!r} is not registered here:"
            f" call register_schedule({custom.name!r}, factory) before it is used"
        )
    with _naming_failures(custom.name):
        schedule = factory(custom.options)
    return _CustomDue(custom.name, schedule)


@contextmanager
def _naming_failures(name: str) -> Iterator[None]:
    """Let what goes wrong in user code be an InvalidSchedule: whoever can go on without the instants does so then."""
    try:
        yield
    except InvalidSchedule:
        raise
    except Exception as error:
        raise InvalidSchedule(f"custom schedule {name!r} failed: {type(error).__name__}: {error}") from error


class _CustomDue:
    """The answers of a user's object, in unix seconds."""

    __slots__ = ("_name", "_schedule")

    def __init__(self, name: str, schedule: CustomSchedule) -> None:
        self._name, self._schedule = name, schedule

    def next_unix(self, after: int) -> int | None:
        with _naming_failures(self._name):
            instant = self._schedule.next_after(instant_at(after))
            return None if instant is None else self._later_than(after, instant)

    def unix_between(self, start: int, end: int) -> Iterator[int]:
        with _naming_failures(self._name):
            for instant in self._schedule.between(instant_at(start), instant_at(end)):
                yield (start := self._later_than(start, instant))

    def previous_unix(self, before: int) -> int | None:
        """Look back over windows that double in length: the object answers no question about the past."""
        end, length = before - 1, DAY
        while end >= FIRST_UNIX:
            start = max(end - length, FIRST_UNIX - 1)
            found = list(self.unix_between(start, end))
            if found:
                return found[-1]
            end, length = start, length * 2
        return None

    def _later_than(self, unix: int, instant: datetime) -> int:
        """Return an answer in unix seconds. A cursor would never get past one that is not later than it, nor whole."""
        found = unix_floor(instant)
        if instant.microsecond or found <= unix:
            raise InvalidSchedule(
                f"custom schedule {self._name!r} answered {instant.isoformat()} to what comes after"
                f" {instant_at(unix).isoformat()}: due instants are whole seconds, each later than the one before"
            )
        return found
