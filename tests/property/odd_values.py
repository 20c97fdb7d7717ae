"""Values that users hand over by mistake or on purpose: each has broken something once, here or elsewhere."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from jobistemer import NO_RETRIES, Concurrency, Cron, Delays, Exponential, Interval, Rate
from jobistemer.app.request import Debounce, Request, Throttle, Timing, Unique
from jobistemer.core.jobs.options import Options
from jobistemer.core.schedules import Custom
from tests.support.parts import examples

# `make test` plays the same examples each time; JOBISTEMER_FUZZ=20 plays twenty times as many, chosen by chance.
TIMES = int(os.environ.get("JOBISTEMER_FUZZ", "1"))


def fuzz(full: int) -> settings:
    """Return the settings of a test with so many examples in `make test-rest`."""
    return settings(
        max_examples=examples(full) * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Word(StrEnum):
    SKIP = "skip"


class Number(IntEnum):
    THREE = 3


class Plain(Enum):
    A = "a"


class Nowhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None


def deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


NUMBERS: list[Any] = [
    *(0, -0.0, -1, 1, 2, 3, 0.5, 1e-320, 1e300, float("nan"), float("inf"), -float("inf"), 2**31, 2**63, -(2**63) - 1),
    *(2**64, 10**5000, -(10**5000), True, False, Decimal("NaN"), Decimal("1.5"), Fraction(1, 3), 1j, Number.THREE),
]
TEXTS: list[Any] = [
    *(
        "",
        " ",
        "a",
        "skip",
        "queue",
        "wait",
        "send",
        "nightly",
        "default",
        "\ud800",
        "a\x00b",
        "\n",
        "\x1b[2J",
        "x" * 300,
    ),
    *("x" * 5000, "é", "٣", "{", "{}", "{a}", "{a.b[0]}", "{a!r:>{b}}", "{0}", "a:b", "-", "../x", "none", "5", "PT5M"),
    *(
        "* * * * *",
        "0 0 31 2 *",
        "2026-01-01T00:00:00Z",
        "P1M",
        "DE",
        "https://x",
        "https://\ud800",
        "ended",
        Word.SKIP,
    ),
]
TIMES_OF_DAY: list[Any] = [
    *(timedelta.max, timedelta.min, timedelta(0), timedelta(microseconds=1), timedelta(minutes=5), date(2026, 1, 1)),
    *(datetime.min, datetime.max, datetime(2026, 1, 1), datetime.min.replace(tzinfo=UTC)),
    *(datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), datetime(1969, 1, 1, tzinfo=UTC)),
    *(datetime(2090, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=Nowhere())),
]
OBJECTS: list[Any] = [
    *(
        None,
        Ellipsis,
        NotImplemented,
        object(),
        Unshowable(),
        int,
        print,
        lambda: None,
        Exception("x"),
        Plain.A,
        b"",
        b"\xff",
    ),
    *(
        bytearray(b"x"),
        range(3),
        memoryview(b"x"),
        {1},
        frozenset(),
        [],
        {},
        (),
        [None],
        [[]],
        {"a": 1},
        {1: 2},
        {"self": 1},
    ),
    *(
        {"a": {"b": [1]}},
        {"a": 10**5000},
        {"a": float("nan")},
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": Unshowable()},
        deep(40),
    ),
    *(
        deep(64),
        deep(65),
        deep(400),
        deep(985),
        {"a": deep(63)},
        {"a": deep(64)},
        [1] * 300,
        {str(n): n for n in range(300)},
    ),
    *(
        msgspec.Raw(b"{"),
        msgspec.Raw(b"{}"),
        msgspec.Raw(b'{},"handler":"x"'),
        msgspec.Raw(b'{"a":1}'),
        msgspec.Raw(b""),
    ),
    *({"a": msgspec.Raw(b'1,"b":2')}, {"a": msgspec.Raw(b"{")}, {"a": msgspec.Raw(b'"\xff"')}, Options(queue="other")),
    *(Cron("* * * * *"), Interval("PT1H"), Custom("nobody", {}), NO_RETRIES, Exponential(), Delays((0, 1))),
    *(
        Concurrency(1),
        Rate(1, 1),
        [Concurrency(1)],
        Unique("a"),
        Throttle(5),
        Debounce(5),
        Timing(delay=1),
        Request("send"),
    ),
]
ODD = NUMBERS + TEXTS + TIMES_OF_DAY + OBJECTS


class Odd:
    """A value by its place in ODD: hypothesis writes what it tries, and some of the values cannot be written."""

    def __init__(self, place: int) -> None:
        self.place = place

    def __repr__(self) -> str:
        return f"Odd({self.place})"


def plain(given: Any) -> Any:
    """Return what is given with the values themselves in place of Odd."""
    if isinstance(given, Odd):
        return ODD[given.place]
    if isinstance(given, list):
        return [plain(each) for each in given]
    return {name: plain(each) for name, each in given.items()} if isinstance(given, dict) else given


odd = st.integers(0, len(ODD) - 1).map(Odd) | st.integers() | st.text(max_size=20)
"""A value from the list, or one made up."""
