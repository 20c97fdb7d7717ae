"""The parser of cron expressions, with a grammar of its own.

    expression  = 5 fields: minute hour day-of-month month day-of-week
                | 6 fields: second before them
                | 7 fields: second before them, year after them
                | @yearly @annually @monthly @weekly @daily @midnight @hourly
    field       = item *("," item)             or "?" alone, in a day field
    item        = ("*" | value ["-" value]) ["/" step]
                | "L" | "LW" | n"W"            day of month: last, last weekday, weekday nearest to n
                | d"L" | d"#"n                 day of week: last d, nth d of the month
    value       = digits | JAN … DEC | SUN … SAT

Sources: Vixie's and Debian's crontab(5) for five fields and the names, Quartz's CronExpression for seconds, years, `?`,
`L`, `W` and `#`. Sunday is 0 and 7 everywhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NoReturn

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import cron_hints
from jobistemer.core.schedules.cron_days import days_of
from jobistemer.core.schedules.cron_expression import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELDS_BY_COUNT,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    CronFields,
    DayOfMonth,
    DayOfWeek,
    Field,
)
from jobistemer.core.schedules.cron_items import expand, read_value

MAX_LENGTH: Final = 256
DISTINCT: Final = 16_384
"""How many expressions are kept read and compiled: a deployment looks at each several times."""
_FIELDS: Final = 1_024
"""How many texts of a field are kept read: ten thousand expressions are made of a few hundred."""

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_WEEK: Final = 7
_WITH_YEAR: Final = 7
_NEAREST_WEEKDAY: Final = re.compile(r"([0-9]+)W", re.IGNORECASE | re.ASCII)
_LAST_OF_WEEKDAY: Final = re.compile(r"([0-9]+|[A-Z]{3})L", re.IGNORECASE | re.ASCII)
_NTH_WEEKDAY: Final = re.compile(r"([0-9]+|[A-Z]{3})#([0-9]+)", re.IGNORECASE | re.ASCII)
_NTH: Final = Field("number after #", 1, 5)


def read_cron(expression: str) -> CronFields:
    """Read a cron expression.

    Raises InvalidSchedule naming the field, the value, the allowed range and what was probably meant: for a wrong count
    of fields, a value out of range, a backward range, an impossible date (no instant in any year), more than 256
    characters.
    """
    if not isinstance(expression, str):
        raise InvalidSchedule(f"cron expression {show(expression)} is not text")
    return _read_cron(expression)


@lru_cache(maxsize=DISTINCT)
def _read_cron(expression: str) -> CronFields:
    if len(expression) > MAX_LENGTH:
        raise InvalidSchedule(
            f"cron expression of {len(expression)} characters ({expression[:20]!r}…) is longer than {MAX_LENGTH}"
        )
    try:
        fields = _read_fields(_texts_of(expression))
    except InvalidSchedule as error:
        hint = cron_hints.guess_order(expression)
        raise InvalidSchedule(f"{error} (in cron expression {show(expression)}){hint}") from None
    _refuse_impossible(fields, expression)
    return fields


def _texts_of(expression: str) -> dict[Field, str]:
    text = expression.strip(" \t")
    if text.startswith("@"):
        text = NICKNAMES.get(text.lower()) or _refuse_nickname(text)
    texts = re.split(r"[ \t]+", text)
    fields = FIELDS_BY_COUNT.get(len(texts))
    if not text or fields is None:
        count = len(texts) if text else 0
        raise InvalidSchedule(
            f"{count} fields given, cron has 5 (minute hour day month weekday),"
            f" 6 (seconds first) or 7 (seconds first, year last){cron_hints.guess_field_count(text)}"
        )
    return dict(zip(fields, texts, strict=True))


def _refuse_nickname(text: str) -> NoReturn:
    raise InvalidSchedule(f"{show(text)} is none of {', '.join(NICKNAMES)}{cron_hints.guess_nickname(text, NICKNAMES)}")


def _read_fields(texts: dict[Field, str]) -> CronFields:
    _check_day_fields(texts)
    times = {field: texts.get(field, "0") for field in (SECOND, MINUTE, HOUR)}
    return CronFields(
        seconds=expand(SECOND, times[SECOND]),
        minutes=expand(MINUTE, times[MINUTE]),
        hours=expand(HOUR, times[HOUR]),
        day_of_month=_read_day_of_month(texts[DAY_OF_MONTH]),
        months=expand(MONTH, texts[MONTH]),
        day_of_week=_read_day_of_week(texts[DAY_OF_WEEK]),
        years=_read_years(texts.get(YEAR, "*")),
        either_day=not texts[DAY_OF_MONTH].startswith(("*", "?")) and not texts[DAY_OF_WEEK].startswith(("*", "?")),
        follows_elapsed_time=any(text.startswith("*") for text in times.values()),
        texts=texts,
    )


def _check_day_fields(texts: dict[Field, str]) -> None:
    by_date, by_weekday = texts[DAY_OF_MONTH], texts[DAY_OF_WEEK]
    if len(texts) == _WITH_YEAR and not {by_date, by_weekday} & {"*", "?"}:
        raise InvalidSchedule(
            f"day of month {show(by_date)} and day of week {show(by_weekday)} are both restricted:"
            " with seven fields one of them must be ? or *; write two schedules for either day"
        )


def _read_years(text: str) -> tuple[int, ...] | None:
    return None if text == "*" else expand(YEAR, text)


@lru_cache(maxsize=_FIELDS)
def _read_day_of_month(text: str) -> DayOfMonth:
    items = _day_items(text)
    nearest = {item: match[1] for item in items if (match := _NEAREST_WEEKDAY.fullmatch(item))}
    plain = [item for item in items if item not in nearest and item.upper() not in {"L", "LW"}]
    upper = {item.upper() for item in items}
    return DayOfMonth(
        days=expand(DAY_OF_MONTH, ",".join(plain)) if plain else (),
        last="L" in upper,
        last_weekday="LW" in upper,
        nearest_weekday_to=tuple(sorted({read_value(DAY_OF_MONTH, n) for n in nearest.values()})),
    )


@lru_cache(maxsize=_FIELDS)
def _read_day_of_week(text: str) -> DayOfWeek:
    items = _day_items(text)
    last = {item: match[1] for item in items if (match := _LAST_OF_WEEKDAY.fullmatch(item))}
    nth = {item: match.groups() for item in items if (match := _NTH_WEEKDAY.fullmatch(item))}
    plain = [item for item in items if item not in last and item not in nth]
    weekdays = expand(DAY_OF_WEEK, ",".join(plain)) if plain else ()
    return DayOfWeek(
        weekdays=tuple(sorted({day % _WEEK for day in weekdays})),
        nth=tuple(sorted({(_weekday(day), read_value(_NTH, n)) for day, n in nth.values()})),
        last=tuple(sorted({_weekday(day) for day in last.values()})),
    )


def _weekday(text: str) -> int:
    return read_value(DAY_OF_WEEK, text) % _WEEK


def _day_items(text: str) -> list[str]:
    return ["*"] if text == "?" else text.split(",")


def _refuse_impossible(fields: CronFields, expression: str) -> None:
    if days_of(fields.day_fields).exist:
        return
    by_date, by_weekday = fields.texts[DAY_OF_MONTH], fields.texts[DAY_OF_WEEK]
    year = f" of {fields.texts[YEAR]}" if YEAR in fields.texts else ""
    raise InvalidSchedule(
        f"cron expression {show(expression)} has no instant in any year: day of month {show(by_date)} and day of week"
        f" {show(by_weekday)} do not occur in month {show(fields.texts[MONTH])}{year}{cron_hints.guess_day(by_date)}"
    )
