"""Schedules beside plain croniter and cronsim, in the same run: `python benchmarks/bench_schedules.py`.

Each figure is the median over rounds of the mean time of one call, in microseconds. All
engines answer the same questions in the same order: the next instant after instants that
are spread over ten years, in the same zone. croniter and cronsim are built anew for every
question, because that is how they are asked for "the next instant after t"; what a bare
step costs once they are built is shown beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from collections import deque
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron, Interval, parse_schedule
from jobistemer.core.schedules.cron_parser import _read_cron as read_cron

ZONE = "Europe/Berlin"
BERLIN = ZoneInfo(ZONE)
COMMON = [
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0 9 * * 1-5",
    "15,45 8-18 * * 1-5",
    "0 0 1,15 * *",
]
SPARSE = ["0 0 1 1 *", "0 0 29 2 *", "0 0 31 12 *", "0 12 13 11 *"]
LETTERS = ["0 0 L * *", "0 0 * * 5L", "0 0 LW * *", "0 0 * * 2#2"]
HOSTILE = [
    "0 0 31 2,4,6,9,11 *",
    "0 0 0 * 2 1#5 2026-2043",
    ",".join(["*"] * 124) + " * * * *",
    "0 0 " + ",".join(f"{day}W" for day in range(1, 32)) + " * *",
    "0 0 * * " + ",".join(f"{day}#{n}" for day in range(8) for n in range(1, 6)),
    "9" * 256,
    "R" + "9" * 9 + "/0001-01-01T00:00:00Z/P999999Y999999M999999W999999DT999999999H",
    "P" + "9" * 255,
    "x" * 256,
]


def median_us(call, arguments, rounds):
    """Give the median over rounds of the mean time of `call` on each of the arguments."""
    means = []
    for _ in range(rounds):
        start = time.perf_counter()
        for argument in arguments:
            call(argument)
        means.append((time.perf_counter() - start) / len(arguments) * 1e6)
    return statistics.median(means)


def time_next_instants(expressions, moments, rounds):
    rows = []
    for text in expressions:
        schedule = Cron(text, timezone=ZONE)
        local = [moment.astimezone(BERLIN) for moment in moments]
        unix = [int(moment.timestamp()) for moment in moments]
        few = local[:: max(1, len(local) // 100)]
        rows.append(
            {
                "expression": text,
                "next_after": median_us(schedule.next_after, moments, rounds),
                "next_unix": median_us(schedule.next_unix, unix, rounds),
                "previous_before": median_us(schedule.previous_before, moments, rounds),
                "croniter": time_other(
                    lambda moment, text=text: croniter(text, moment).get_next(datetime), few, rounds
                ),
                "croniter_step": time_other(build_croniter_step(text, few[0]), few, rounds),
                "cronsim": time_other(lambda moment, text=text: next(CronSim(text, moment)), few, rounds),
                "cronsim_step": time_other(build_cronsim_step(text, few[0]), few, rounds),
            }
        )
    return rows


def build_croniter_step(text, start):
    walkers = []

    def step(_):
        walkers[:] = walkers or [croniter(text, start)]
        return walkers[0].get_next(datetime)

    return step


def build_cronsim_step(text, start):
    walkers = []

    def step(_):
        walkers[:] = walkers or [CronSim(text, start)]
        return next(walkers[0])

    return step


def time_other(call, moments, rounds):
    """Time another engine, or give None where it does not know the expression."""
    try:
        return median_us(call, moments, rounds)
    except Exception:
        return None


def time_first_answer(text):
    """Give the first answer of a schedule that nobody has asked before, in a zone that is known."""
    start = time.perf_counter()
    Cron(text, timezone=ZONE).next_after(datetime(2026, 1, 1, tzinfo=UTC))
    return (time.perf_counter() - start) * 1e6


def time_parsing(rounds):
    texts = [*COMMON, *SPARSE, *LETTERS]
    uncached = read_cron.__wrapped__
    return {
        "cron": median_us(uncached, texts, rounds * 5),
        "cron_slowest": max(median_us(uncached, [text], rounds * 20) for text in texts),
        "interval": median_us(Interval, ["PT6H", "P1M", "R5/2026-01-31T00:00:00Z/P1M"], rounds * 20),
        "croniter": median_us(
            croniter.expand, [text for text in texts if "LW" not in text and "5L" not in text], rounds * 5
        ),
        "cronsim": median_us(lambda text: CronSim(text, datetime(2026, 1, 1)), texts, rounds * 5),  # noqa: DTZ001
    }


def time_year_of_minutes():
    schedule = Cron("* * * * *", timezone=ZONE)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    begun = time.perf_counter()
    found = deque(enumerate(schedule.between(start, start + timedelta(days=365)), 1), maxlen=1)
    return {"instants": found[0][0], "seconds": time.perf_counter() - begun}


def time_hostile_texts():
    """Give the slowest and the largest of the texts that were made to be expensive."""
    worst_ms, worst_kb = 0.0, 0.0
    for text in HOSTILE:
        read_cron.cache_clear()
        begun = time.perf_counter()
        try_to_parse(text)
        worst_ms = max(worst_ms, (time.perf_counter() - begun) * 1e3)
        read_cron.cache_clear()
        tracemalloc.start()
        try_to_parse(text)
        worst_kb = max(worst_kb, tracemalloc.get_traced_memory()[1] / 1024)
        tracemalloc.stop()
    return {"slowest_ms": worst_ms, "largest_kb": worst_kb}


def try_to_parse(text):
    try:
        parse_schedule(text)
    except InvalidSchedule:
        return


def report(figures):
    heading = [
        "next_after",
        "next_unix",
        "previous_before",
        "croniter",
        "croniter_step",
        "cronsim",
        "cronsim_step",
    ]
    for group in ("common", "sparse", "letters"):
        print(f"\n{group:22}" + "".join(f"{name:>16}" for name in heading))
        for row in figures[group]:
            cells = ("—" if row[name] is None else f"{row[name]:.1f}" for name in heading)
            print(f"{row['expression']:22}" + "".join(f"{cell:>16}" for cell in cells))
    print("\nµs per call, medians; croniter and cronsim anew for every question, _step: once built")
    for name in ("first_answer_us", "parsing_us", "a_year_of_minutes", "hostile_texts"):
        print(f"{name:20}", {key: round(value, 2) for key, value in figures[name].items()})


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    start = datetime(2020, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(hours=37 * step, seconds=step) for step in range(2000)]
    Cron("* * * * *", timezone=ZONE).next_after(start)
    figures = {
        "first_answer_us": {text: time_first_answer(text) for text in ("7 3 * * *", "0 1 29 2 *", "13 * * * 2")},
        "common": time_next_instants(COMMON, moments, chosen.rounds),
        "sparse": time_next_instants(SPARSE, moments, chosen.rounds),
        "letters": time_next_instants(LETTERS, moments, chosen.rounds),
        "parsing_us": time_parsing(chosen.rounds),
        "a_year_of_minutes": time_year_of_minutes(),
        "hostile_texts": time_hostile_texts(),
    }
    if chosen.json:
        json.dump(figures, sys.stdout, indent=1)
    else:
        report(figures)


if __name__ == "__main__":
    main()
