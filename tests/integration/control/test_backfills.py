"""The past is run once: in order, so many at a time, and whatever dies on the way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobistemer.control.backfills import Backfills
from jobistemer.core import ids
from jobistemer.core.errors import Conflict, InvalidInput, NotConnected, NotFound, UnknownJob
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.planning.backfill import BackfillStatus
from jobistemer.core.schedules import Cron, parse_calendar
from jobistemer.store.actions import backfill as backfills
from jobistemer.store.calls import jobs
from tests.support.audit import audit_all
from tests.support.clocks import NOW
from tests.support.shard_state import find_leaks, nothing_written
from tests.support.step_system import StepWorker, break_next, build_ticker, open_app, read_occurrences

START = NOW // 1000
HOUR = 3600


def report(**changes):
    return Job(**{"name": "report", "schedule": Cron("0 * * * *"), "tasks": (Task("report", "report"),), **changes})


def at(hours):
    return datetime.fromtimestamp(START + hours * HOUR, UTC)


@pytest.fixture
def app(server_url, database, clock):
    app = open_app(server_url, clock)
    app.task(lambda: None, name="report")
    return app


@pytest.fixture
def control(app):
    return Backfills(app.namespace, "ana")


def hours(database):
    """The occurrences in the order they were claimed in: how many hours from the start, and their state."""
    rows = read_occurrences(database, report())
    return [((each.due - START) / HOUR, each.state) for each in sorted(rows, key=lambda each: each.claimed_at)]


def run(control, backfill, app, database, clock, steps=60):
    """Let a ticker and a worker take turns until it has ended; the most that was in flight."""
    ticking, worker, most = build_ticker(database), StepWorker(database, app), 0
    for _ in range(steps):
        ticking.tick()
        most = max(most, database.client.zcard(database.keys.live(report().id)))
        worker.work()
        if control.find(backfill).progress.status is not BackfillStatus.RUNNING:
            return most
        clock.advance(0.2)
    raise AssertionError(f"it has not ended: {control.find(backfill)}")


@pytest.mark.parametrize(("order", "expected"), [("forward", [-5, -4, -3, -2]), ("backward", [-2, -3, -4, -5])])
def test_a_range_is_run_in_its_order_one_at_a_time(app, control, database, clock, order, expected):
    app.control.register(report())
    asked = control.ask("report", at(-5), at(-2), order=order)
    assert [(each - START) / HOUR for each in control.preview(asked).to_run] == expected
    most = run(control, control.start(asked), app, database, clock)
    assert (hours(database), most) == ([(each, "completed") for each in expected], 1)
    progress = control.find(asked.id).progress
    assert (progress.fired, progress.completed, progress.failed, progress.existing) == (4, 4, 0, 0)
    assert find_leaks(database) == {}
    audit_all(app.namespace)


def test_a_job_that_allows_overlaps_runs_as_many_as_asked_at_a_time(app, control, database, clock):
    app.control.register(report(overlap="allow"))
    backfill = control.start(control.ask("report", at(-20), at(-1), concurrency=4))
    assert run(control, backfill, app, database, clock) == 4
    assert control.find(backfill).progress.completed == 20


def test_a_job_that_allows_no_overlap_runs_one_at_a_time_and_waits_for_the_live_one(app, control, database, clock):
    app.control.register(report(overlap="queue"))
    app.control.trigger("report")
    backfill = control.start(control.ask("report", at(-3), at(-1), concurrency=4))
    build_ticker(database).tick()
    assert control.find(backfill).progress.fired == 0
    assert run(control, backfill, app, database, clock) == 1
    assert control.find(backfill).progress.completed == 3


def test_what_the_clock_has_fired_is_left_alone(app, control, database, clock):
    app.control.register(report())
    clock.advance(HOUR)
    build_ticker(database).tick()
    StepWorker(database, app).work()
    clock.advance(HOUR)
    asked = control.ask("report", at(0), at(2))
    preview = control.preview(asked)
    alone = {"completed": 1, "undecided": 1}
    assert ([(each - START) / HOUR for each in preview.to_run], preview.left_alone) == ([0], alone)
    run(control, control.start(asked), app, database, clock)
    assert dict(hours(database)) == {1: "completed", 2: "completed", 0: "completed"}
    assert control.find(asked.id).progress.existing == 2


def test_what_was_missed_can_be_run_again_beside_its_record(app, control, database, clock):
    app.control.register(report(recovery="mark_as_missed"))
    clock.advance(3 * HOUR + 1800)
    build_ticker(database).tick()
    backfill = control.start(control.ask("report", at(1), at(3), again=("missed",)))
    run(control, backfill, app, database, clock)
    assert sorted(hours(database)) == [(n, state) for n in (1, 2, 3) for state in ("completed", "missed")]
    audit_all(app.namespace)


def test_what_a_calendar_excludes_is_not_run(app, control, database, clock):
    app.control.register(report(calendars=(parse_calendar("2027-01-15T04:00:00Z/2027-01-15T05:30:00Z"),)))
    asked = control.ask("report", at(-5), at(-1))
    assert (len(control.preview(asked).to_run), control.preview(asked).excluded) == (3, 2)
    run(control, control.start(asked), app, database, clock)
    assert control.find(asked.id).progress.excluded == 2


def test_a_dry_run_writes_nothing(app, control, database):
    app.control.register(report())
    with nothing_written(database):
        control.preview(control.ask("report", at(-5), at(-2)))


def test_the_same_command_sent_twice_starts_one(app, control, database):
    app.control.register(report())
    assert control.start(control.ask("report", at(-5), at(-2))) == control.start(control.ask("report", at(-5), at(-2)))
    assert len(control.running()) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before it is noted", "after it is noted"])
def test_a_ticker_that_dies_in_a_step_runs_nothing_twice(app, control, database, open_database, clock, after):
    app.control.register(report(overlap="allow"))
    backfill = control.start(control.ask("report", at(-6), at(-1), concurrency=2))
    dying = open_database()
    with break_next(dying, "call", lambda: NotConnected("gone"), after=True), pytest.raises(NotConnected):
        # The first call of a step fires; what it did is not noted.
        backfills.take_step(dying, backfill)
    run(control, backfill, app, database, clock)
    assert sorted(hours(database)) == [(each, "completed") for each in range(-6, 0)]
    assert control.find(backfill).progress.completed == 6


def test_two_tickers_that_take_the_same_step_fire_it_once(app, control, database, open_database, clock):
    app.control.register(report(overlap="allow"))
    backfill = control.start(control.ask("report", at(-6), at(-1), concurrency=2))
    one, other = build_ticker(open_database(), name="one"), build_ticker(open_database(), name="other")
    worker = StepWorker(database, app)
    for _ in range(20):
        for each in (one, other):
            each.poll(full=True)
            each._chores.refresh()
        one.process_due()
        other.process_due()
        assert database.client.zcard(database.keys.live(report().id)) <= 2
        worker.work()
        clock.advance(0.2)
    assert control.find(backfill).progress.completed == 6
    assert len(hours(database)) == 6


def test_it_goes_on_with_the_new_version_when_the_job_changes(app, control, database, clock):
    app.control.register(report())
    backfill = control.start(control.ask("report", at(-3), at(-1)))
    build_ticker(database).tick()
    app.control.register(report(description="better"))
    run(control, backfill, app, database, clock)
    assert sorted(each.version for each in read_occurrences(database, report())) == [1, 2, 2]


def test_a_job_that_is_removed_ends_its_backfill(app, control, database, clock):
    app.control.register(report())
    backfill = control.start(control.ask("report", at(-3), at(-1)))
    app.control.remove("report")
    build_ticker(database).tick()
    progress = control.find(backfill).progress
    assert (progress.status, progress.note, progress.fired) == ("canceled", "the job was removed", 0)


def test_a_canceled_backfill_fires_nothing_more(app, control, database, clock):
    app.control.register(report())
    backfill = control.start(control.ask("report", at(-9), at(-1)))
    build_ticker(database).tick()
    assert control.cancel(backfill) is True
    clock.advance(10)
    build_ticker(database).tick()
    assert len(hours(database)) == 1
    assert control.cancel(backfill) is False
    assert control.running() == []


def test_an_occurrence_is_replayed_beside_its_record(app, control, database, clock):
    app.control.register(report())
    clock.advance(HOUR)
    build_ticker(database).tick()
    worker = StepWorker(database, app)
    worker.work()
    (old,) = read_occurrences(database, report())
    clock.advance(60)
    new = control.replay(old.id)
    worker.work()
    first, second = read_occurrences(database, report())
    assert first == old
    assert (second.id, second.due, second.state, second.origin) == (new, old.due, "completed", f"replay {old.id}")
    assert second.reason == "replayed by ana: it was completed"
    assert [each.what for each in app.control.log("report")][0] == "replayed"
    audit_all(app.namespace)
    assert find_leaks(database) == {}


def test_an_occurrence_that_goes_on_is_not_replayed(app, control, database, clock):
    app.control.register(report())
    clock.advance(HOUR)
    build_ticker(database).tick()
    (old,) = read_occurrences(database, report())
    with pytest.raises(Conflict, match=f"occurrence {old.id} is pending; wait for its end"):
        control.replay(old.id)


def test_a_replay_waits_for_no_one_but_says_who_is_in_its_way(app, control, database, clock):
    app.control.register(report())
    clock.advance(HOUR)
    build_ticker(database).tick()
    StepWorker(database, app).work()
    (old,) = read_occurrences(database, report())
    busy, _ = app.control.trigger("report")
    with nothing_written(database), pytest.raises(Conflict, match=f"{busy} of job 'report' is going on"):
        control.replay(old.id)


def test_what_cannot_be_replayed_says_why(app, control, database, clock):
    with pytest.raises(NotFound, match="no occurrence occ_1 is on record"):
        control.replay("occ_1")
    app.control.register(report())
    clock.advance(HOUR)
    build_ticker(database).tick()
    StepWorker(database, app).work()
    database.call(jobs.remove(database.keys, app.control.find("report"), clock.now_ms()))
    with pytest.raises(UnknownJob, match="was removed; deploy it again"):
        control.replay(ids.occurrence_id(report().id, START + HOUR))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"last": at(1)}, "the range ends at 2027-01-15T09:00:00.00:00, which is to come"),
        ({"first": at(-1), "last": at(-2)}, "is empty; were the two swapped"),
        ({"order": "sideways"}, "order is 'sideways', allowed are forward, backward"),
        ({"again": ("lost",)}, "again is 'lost', allowed are"),
        ({"again": ("running",)}, "again names running; what has ended can be run again"),
        ({"concurrency": 0}, "concurrency is 0, allowed is 1–100"),
    ],
)
def test_a_backfill_that_cannot_be_is_refused(app, control, asked, message):
    app.control.register(report())
    with pytest.raises(InvalidInput, match=message):
        control.ask("report", **{"first": at(-2), "last": at(-1), **asked})


def test_a_range_that_is_too_long_is_refused(app, control):
    app.control.register(report(schedule=Cron("* * * * * *")))
    with pytest.raises(InvalidInput, match="more than 100000 instants; backfill it in parts"):
        control.start(control.ask("report", at(-48), at(0)))
    with pytest.raises(UnknownJob, match="no job 'nope'"):
        control.preview(control.ask("nope", at(-2), at(-1)))
    with pytest.raises(NotFound, match="no backfill bf_0 is on record"):
        control.find("bf_0")
