"""Schedules: when jobs are due. Pure values with exact answers.

    kinds       the Schedule protocol, the union of all kinds, text to schedule
    cron        cron_parser reads a text, with cron_items for each field, into a cron_expression; cron_hints guesses
                what was meant; cron_days and cron_table compile it to readings of a wall clock
    interval    iso8601 reads it
    once, custom, builder
    zones       time zones as spans of constant offset; walltime: readings to instants
    calendars   instants on which a job does not run
    delays      jitter and spread
    describe    words for people, with describe_cron and english; clock_changes: the effect of a change of the clock

The names imported here are public; the modules are for this package, which may import the modules of `core` itself.
"""

from jobistemer.core.schedules.builder import EveryBuilder, Ready, at
from jobistemer.core.schedules.calendars import (
    AnyCalendar,
    Blackout,
    CronExclusion,
    Dates,
    Holidays,
    Window,
    parse_calendar,
)
from jobistemer.core.schedules.cron import Cron
from jobistemer.core.schedules.custom import Custom, register_schedule
from jobistemer.core.schedules.delays import jitter_ms, spread_ms
from jobistemer.core.schedules.describe import describe
from jobistemer.core.schedules.interval import Interval
from jobistemer.core.schedules.kinds import AnySchedule, Schedule, anchored, parse_schedule
from jobistemer.core.schedules.once import Once

__all__ = [
    "AnyCalendar",
    "AnySchedule",
    "Blackout",
    "Cron",
    "CronExclusion",
    "Custom",
    "Dates",
    "EveryBuilder",
    "Holidays",
    "Interval",
    "Once",
    "Ready",
    "Schedule",
    "Window",
    "anchored",
    "at",
    "describe",
    "jitter_ms",
    "parse_calendar",
    "parse_schedule",
    "register_schedule",
    "spread_ms",
]
