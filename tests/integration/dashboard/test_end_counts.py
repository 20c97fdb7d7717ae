"""The ended runs that the dashboard counts: days that are over are read in turn, and no end is lost by it."""

from __future__ import annotations

from jobistemer.store.reads.metrics import COUNTED_DAYS
from jobistemer.web.shared.end_counts import EndCounts
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish

DAY_S = 86_400


def end_one(database, run, ended_at):
    enqueue(database, run)
    finish(database, build_ended(fetch_one(database))._replace(ended_at=ended_at))


def test_an_end_of_yesterday_that_is_recorded_after_a_look_of_today_is_counted(database, clock):
    counts = EndCounts()
    before_midnight = database.clock.now_ms()
    end_one(database, "run_1", before_midnight)
    assert counts.read([database], before_midnight).total() == 1
    clock.advance(DAY_S)
    today = database.clock.now_ms()
    assert counts.read([database], today).total() == 1
    end_one(database, "run_2", before_midnight)
    end_one(database, "run_3", today)
    assert counts.read([database], today).total() == 3


def test_an_end_is_counted_on_each_of_the_days_that_are_kept_and_then_no_more(database, clock):
    counts = EndCounts()
    end_one(database, "run_1", database.clock.now_ms())
    seen = []
    for _ in range(COUNTED_DAYS + 1):
        seen.append(counts.read([database], database.clock.now_ms()).total())
        clock.advance(DAY_S)
    assert seen == [1] * COUNTED_DAYS + [0]
    # Nothing is kept of a task that has no ends any more.
    assert dict(counts._sum) == {}


def test_an_end_that_is_recorded_days_after_it_is_counted_when_its_day_has_its_turn(database, clock):
    counts, ended_at = EndCounts(), database.clock.now_ms()
    clock.advance(5 * DAY_S)
    now_ms = database.clock.now_ms()
    assert counts.read([database], now_ms).total() == 0
    end_one(database, "run_1", ended_at)
    seen = [counts.read([database], now_ms).total() for _ in range(COUNTED_DAYS)]
    assert (set(seen), seen[-1], seen == sorted(seen)) == ({0, 1}, 1, True)


def test_a_look_reads_no_more_than_three_days(database, clock, monkeypatch):
    counts, now_ms = EndCounts(), database.clock.now_ms()
    counts.read([database], now_ms)
    asked = []
    monkeypatch.setattr(
        database, "read_all", lambda commands, ask=database.read_all: asked.append(commands) or ask(commands)
    )
    counts.read([database], now_ms)
    assert [len(commands) for commands in asked] == [3]
