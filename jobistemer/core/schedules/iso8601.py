"""ISO 8601: instants, durations and repeating intervals.

The text is checked against a grammar of our own; isodate then reads the parts that it reads right. It is given the date
half and the time half of a duration separately, because it makes `P1D` and `PT24H` the same value, and only offsets
that exist.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any, Final, NamedTuple, NoReturn

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules.instants import DAY, EPOCH, instant_at, to_utc, to_wall_seconds
from jobistemer.core.schedules.zones import zone_of

MAX_LENGTH: Final = 256

_DATE_PART: Final = re.compile(r"(?:\d{1,6}Y)?(?:\d{1,6}M)?(?:\d{1,6}W)?(?:\d{1,6}D)?", re.ASCII)
_NUMBER = r"\d{1,9}(?:[.,]\d{1,9})?"
_TIME_PART: Final = re.compile(rf"(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?", re.ASCII)
_REPETITION: Final = re.compile(r"R(-1|\d{0,9})/([^/]+)(?:/([^/]+))?", re.ASCII)
_INSTANT: Final = re.compile(
    r"(?P<date>\d{4}-?\d\d-?\d\d|\d{4}-?\d{3}|\d{4}-?W\d\d-?\d)"
    r"(?:[T ](?P<time>\d\d(?::?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?)?)"
    r"(?P<offset>Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?",
    re.ASCII,
)


class Duration(NamedTuple):
    """A length of time in three parts that do not convert into one another.

    Months and days are steps of the wall clock's date; seconds are elapsed time.
    """

    months: int
    days: int
    seconds: int

    def is_elapsed_time(self) -> bool:
        """Return whether no date part is left, so that instants are plain arithmetic."""
        return not (self.months or self.days)


class Repetition(NamedTuple):
    """A repeating interval: how often (None is without end), by what, and from or up to when (unix).

    offset: the seconds from UTC that the start, or else the end, is written in; 0 where it names none.
    """

    times: int | None
    duration: Duration
    start: int | None
    end: int | None
    offset: int = 0


def read_repetition(text: str, timezone: str) -> Repetition:
    """Read a duration (`PT6H`) or a repeating interval (`R5/start/duration` and its other forms).

    A start or an end without an offset is a reading of the clock in `timezone`. Raises InvalidSchedule with the
    offending part and what was probably meant.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise InvalidSchedule(f"interval {show(text)} is not text of at most {MAX_LENGTH} characters")
    if "/" not in text:
        return Repetition(None, read_duration(text), None, None)
    match = _REPETITION.fullmatch(text)
    if match is None:
        _refuse_repetition(text)
    count = None if match[1] in {"", "-1"} else int(match[1])
    if count == 0:
        raise InvalidSchedule(f"interval {show(text)} repeats 0 times and is never due; did you mean R/ or R1/?")
    return _read_interval(text, count, (match[2], match[3]), timezone)


def read_duration(text: str) -> Duration:
    """Read an ISO 8601 duration of at least one second. Raises InvalidSchedule."""
    if not text.startswith("P"):
        hint = "a duration is positive" if text.startswith(("-", "+")) else "it begins with P, such as PT5M"
        raise InvalidSchedule(f"duration {text!r} is not ISO 8601; {hint}")
    date_part, mark, time_part = text[1:].partition("T")
    dates, times = _DATE_PART.fullmatch(date_part), _TIME_PART.fullmatch(time_part)
    if not (date_part or time_part) or dates is None or (mark and times is None):
        _refuse_duration(text)
    duration = Duration(*_read_dates(date_part), _read_times(text, time_part))
    if not any(duration):
        raise InvalidSchedule(f"duration {show(text)} is zero: an interval is at least one second")
    return duration


def read_instant(text: str, timezone: str | None) -> int:
    """Read an ISO 8601 date and time as unix seconds; without an offset it is the clock of `timezone`.

    Raises InvalidSchedule for a fraction of a second, an impossible date, an unknown form, and for a missing time zone.
    """
    return unix_of(_read_datetime(text), timezone)


def read_moment(text: str, timezone: str | None) -> datetime:
    """Read an ISO 8601 date and time, down to fractions of a second, as a datetime in UTC; see `read_instant`.

    It is for the starts of calls and the ends of pauses; due instants of schedules are whole seconds.
    """
    moment = _read_datetime(text)
    whole = moment.replace(microsecond=0)
    return instant_at(unix_of(whole, timezone)) + timedelta(microseconds=moment.microsecond)


def _read_datetime(text: str) -> datetime:
    match = _INSTANT.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise InvalidSchedule(f"instant {show(text)} is not ISO 8601, such as 2026-01-31T09:00:00Z")
    try:
        day = _read_date(match["date"])
        clock = _isodate().parse_time(match["time"] + (match["offset"] or "")) if match["time"] else time()
    except (ValueError, OverflowError) as error:
        raise InvalidSchedule(f"instant {show(text)} does not exist: {error}") from error
    return datetime.combine(day, clock)


def unix_of(moment: datetime, timezone: str | None) -> int:
    """Return the unix second of a datetime; a naive one is the clock of `timezone`.

    A reading in a gap moves on by the gap's length; in an overlap the first pass counts. An explicit offset wins over
    the zone. Raises InvalidSchedule.
    """
    if moment.microsecond:
        raise InvalidSchedule(
            f"instant {moment.isoformat()} has a fraction of a second: due instants are whole seconds"
        )
    if moment.utcoffset() is not None:
        return (to_utc(moment, "instant") - EPOCH) // timedelta(seconds=1)
    if timezone is None:
        raise InvalidSchedule(
            f"instant {moment.isoformat()} has no offset and no time zone;"
            f" write {moment.isoformat()}Z or give timezone="
        )
    unix = zone_of(timezone).unix_of(to_wall_seconds(moment))
    to_utc(instant_at(unix), "instant")
    return unix


def duration_text(delta: timedelta) -> str:
    """Write a timedelta, which is elapsed time, as ISO 8601. Raises InvalidSchedule below one second."""
    if delta < timedelta(seconds=1) or delta.microseconds:
        raise InvalidSchedule(f"interval {show(delta)} is not a whole number of seconds above zero")
    minutes, seconds = divmod(delta.days * DAY + delta.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    return "PT" + "".join(f"{number}{unit}" for number, unit in parts if number)


def _isodate() -> Any:
    import isodate  # noqa: PLC0415 - most workers never read a text in ISO 8601; see docs/decisions/0003

    return isodate


def _read_interval(text: str, count: int | None, parts: tuple[str, str | None], timezone: str) -> Repetition:
    first, second = parts
    if second is None:
        if not first.startswith("P"):
            raise InvalidSchedule(f"interval {show(text)} has no duration; did you mean {text}/P1D?")
        return Repetition(count, read_duration(first), None, None)
    if first.startswith("P"):
        return Repetition(count, read_duration(first), None, read_instant(second, timezone), _read_offset(second))
    start = read_instant(first, timezone)
    if second.startswith("P"):
        return Repetition(count, read_duration(second), start, None, _read_offset(first))
    length = read_instant(second, timezone) - start
    if length < 1:
        raise InvalidSchedule(f"interval {show(text)} does not end after its start")
    return Repetition(count, Duration(0, 0, length), start, None)


def _read_offset(text: str) -> int:
    offset = _read_datetime(text).utcoffset()
    return 0 if offset is None else offset // timedelta(seconds=1)


def _read_dates(text: str) -> tuple[int, int]:
    if not text:
        return 0, 0
    parsed = _isodate().parse_duration(f"P{text}", as_timedelta_if_possible=False)
    return int(parsed.years) * 12 + int(parsed.months), parsed.tdelta.days


def _read_date(text: str) -> date:
    """Read a date. Raises ValueError for a date that does not exist.

    isodate takes month 0 and counts 2026-366 and week 54 on into the next year; so a date counts only if it is written
    back as it was read.
    """
    day: date = _isodate().parse_date(text)
    year, week, weekday = day.isocalendar()
    by_month = f"{day.year:04}{day.month:02}{day.day:02}"
    by_number = f"{day.year:04}{day.timetuple().tm_yday:03}"
    if text.replace("-", "") not in {by_month, by_number, f"{year:04}W{week:02}{weekday}"}:
        raise ValueError(f"there is no such day, the nearest is {day.isoformat()}")
    return day


def _read_times(text: str, part: str) -> int:
    if not part:
        return 0
    parsed: timedelta = _isodate().parse_duration(f"PT{part}")
    if parsed.microseconds:
        raise InvalidSchedule(f"duration {show(text)} has a fraction of a second: intervals are whole seconds")
    return parsed.days * DAY + parsed.seconds


def _refuse_duration(text: str) -> NoReturn:
    hint = ""
    if re.search(r"[.,]\d+[YMWD]", text.partition("T")[0]):
        hint = "; only hours, minutes and seconds may have a fraction"
    elif text.endswith("T") or text == "P":
        hint = "; a number and a unit are missing"
    elif re.fullmatch(r"P\d+[HS]", text):
        hint = f"; did you mean PT{text[1:]}?"
    elif "-" in text:
        hint = "; parts are not negative"
    raise InvalidSchedule(f"duration {text!r} is not ISO 8601: P, then Y M W D in this order, then T with H M S{hint}")


def _refuse_repetition(text: str) -> NoReturn:
    hint = "R/start/duration, Rn/start/duration, R/start/end or R/duration/end"
    if not text.startswith("R"):
        raise InvalidSchedule(f"interval {show(text)} does not repeat; did you mean 'R/{text}'?")
    raise InvalidSchedule(f"interval {show(text)} is none of {hint}")
