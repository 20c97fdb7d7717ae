"""What a reader has found in the other engine: tasks, scheduled jobs, and remarks about what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from jobistemer.core.schedules import AnyCalendar, AnySchedule

Instants = Callable[[datetime], Iterable[datetime]]
"""The due instants of the other engine after an instant, in order, without an end or until its schedule ends."""


class Verdict(StrEnum):
    """How a task, a schedule or an option of the other engine compares with its counterpart here."""

    SAME = "same"
    DIFFERS = "differs"
    NO_EQUAL = "no equal"


class Remark(msgspec.Struct, frozen=True):
    """One line of the report. subject: the task, job or setting; text: what is the same, what differs, what to do."""

    subject: str
    verdict: Verdict
    text: str


class Exceptions(msgspec.Struct, frozen=True):
    """Exception classes of an option, which a module names instead of quoting their values."""

    classes: tuple[type[BaseException], ...]


class FoundTask(msgspec.Struct, frozen=True):
    """A function that the other engine executes.

    reference: its import path, `package.module:attribute.attribute`. call: how the module hands it on: `plain` as it
    is, `wrapped` by a function of the module that calls it, `awaited` by a coroutine function, `arq` likewise with the
    dictionary that arq passes first.
    parameters: of such a function, in order, with their defaults as source text; for `plain` they are not used.
    options: those of `app.task`.
    """

    name: str
    reference: str
    call: str = "plain"
    parameters: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}


class FoundJob(msgspec.Struct, frozen=True):
    """A schedule that enqueues a task. options: those of `app.job`; theirs: None where no instants can be compared."""

    name: str
    schedule: AnySchedule
    task: FoundTask
    payload: Mapping[str, Any] = {}
    calendars: tuple[AnyCalendar, ...] = ()
    options: Mapping[str, Any] = {}
    theirs: Instants | None = None


class Found(msgspec.Struct):
    """All that one reader has found. engine: its name for people. source: what was read."""

    engine: str
    source: str
    tasks: list[FoundTask] = []
    jobs: list[FoundJob] = []
    remarks: list[Remark] = []

    def remark(self, subject: str, verdict: Verdict, text: str) -> None:
        """Add a remark, once."""
        remark = Remark(subject, verdict, text)
        if remark not in self.remarks:
            self.remarks.append(remark)
