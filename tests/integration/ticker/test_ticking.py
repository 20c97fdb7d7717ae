"""What tickers decide, on a clock that the test moves: fired, skipped, queued, missed; together and after outages."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from jobistemer.core.errors import NotConnected
from jobistemer.core.planning.plan import NEVER
from jobistemer.core.schedules import Once
from jobistemer.core.schedules.custom import Custom, register_schedule
from jobistemer.core.settings import TickerSettings
from jobistemer.core.states import OccurrenceState
from tests.support.clocks import NOW
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, break_next, build_ticker, open_app, read_occurrences
from tests.support.wakeups import collect_wakeups

T0 = NOW // 1000
MINUTE = 60


@pytest.fixture
def done(app):
    """What has been executed; the app has a job `report` that is due every minute."""
    return []


def declare(app, done, **policies):
    @app.job("* * * * *", name="report", **policies)
    def report() -> None:
        done.append("report")

    app.deploy()
    return next(job for job in app.jobs() if job.name == "report")


def caught_up(ticking, clock):
    """How many instants are decided until nothing is left; catching up is throttled, so time passes."""
    decided = 0
    while now := ticking.tick():
        decided += now
        clock.advance(0.1)
    return decided


def states(database, job):
    return [(each.due - T0, each.state.value) for each in read_occurrences(database, job)]


def reasons(database, job):
    return [each.reason for each in read_occurrences(database, job)]


def test_an_instant_is_fired_when_it_is_due_and_not_before(app, database, clock, done):
    job, ticking = declare(app, done), build_ticker(database)
    clock.advance(59.999)
    assert ticking.tick() == 0

    clock.advance(0.001)
    assert ticking.tick() == 1
    assert ticking.tick() == 0
    StepWorker(database, app).work()

    assert done == ["report"]
    assert states(database, job) == [(60, "completed")]
    assert reasons(database, job) == ["fired on time"]


def test_after_its_removal_a_job_leaves_nothing_that_does_not_expire(app, database, clock, done):
    declare(app, done)
    clock.advance(60)
    build_ticker(database).tick()
    StepWorker(database, app).work()

    app.control.remove("report")

    assert find_leaks(database) == {}


def test_skip_records_the_instants_that_find_an_earlier_one_still_running(app, database, clock, done):
    job, ticking, worker = declare(app, done), build_ticker(database), StepWorker(database, app)
    for _ in range(3):
        clock.advance(60)
        ticking.tick()
    worker.work()
    clock.advance(60)
    ticking.tick()

    assert states(database, job) == [(60, "completed"), (120, "skipped"), (180, "skipped"), (240, "pending")]
    first = read_occurrences(database, job)[0].id
    assert reasons(database, job)[1] == f"skipped because {first} was still running"


def test_allow_lets_occurrences_run_side_by_side(app, database, clock, done):
    job, ticking = declare(app, done, overlap="allow"), build_ticker(database)
    for _ in range(3):
        clock.advance(60)
        ticking.tick()

    assert states(database, job) == [(60, "pending"), (120, "pending"), (180, "pending")]
    assert StepWorker(database, app).work() == 3


def test_queue_runs_one_after_the_other_in_order_never_two_and_no_more_than_may_wait(app, database, clock, done):
    # Given an occurrence that runs, two that may wait and one too many
    job, ticking = declare(app, done, overlap="queue", max_queued=2), build_ticker(database)
    worker = StepWorker(database, app)
    for _ in range(4):
        clock.advance(60)
        ticking.tick()
    assert states(database, job) == [(60, "pending"), (120, "queued"), (180, "queued"), (240, "skipped")]

    # When each ends, the next one starts and never two are live
    live = []
    for _ in range(3):
        live.append([due for due, state in states(database, job) if state in ("pending", "running")])
        worker.work()
        ticking.tick()

    # Then they ran in order
    assert live == [[60], [120], [180]]
    assert [state for _, state in states(database, job)] == ["completed", "completed", "completed", "skipped"]


@pytest.mark.parametrize(
    ("recovery", "expected"),
    [
        ("execute_all", ["pending", "pending", "pending", "pending"]),
        ("execute_last", ["missed", "missed", "pending", "pending"]),
        ("mark_as_missed", ["missed", "missed", "missed", "pending"]),
    ],
)
def test_after_an_outage_every_missed_instant_gets_its_row(app, database, clock, done, recovery, expected):
    # Given a job whose grace is shorter than its interval, and no ticker for four minutes
    job = declare(app, done, recovery=recovery, overlap="allow", grace_s=30.0)
    clock.advance(245)

    assert caught_up(build_ticker(database), clock) == 4

    assert [state for _, state in states(database, job)] == expected
    if recovery == "execute_last":
        last = read_occurrences(database, job)[2].id
        assert reasons(database, job)[0] == f"missed: found 185.0 s late; {last} runs in its place"
        assert reasons(database, job)[2] == "fired late by 65.0 s (recovery execute_last)"


def test_a_long_outage_is_caught_up_with_in_portions_and_to_the_end(app, database, clock, done):
    job = declare(app, done, recovery="mark_as_missed")
    clock.advance(60 * 250)
    ticking = build_ticker(database, TickerSettings(catch_up=100))

    decided = [ticking.tick() for _ in range(4)]

    assert decided == [100, 100, 50, 0]
    assert [due for due, _ in states(database, job)] == [60 * n for n in range(1, 251)]


def test_two_tickers_that_try_the_same_instants_decide_each_once_and_leave_no_hole(
    app, open_database, database, clock, done
):
    # Given two tickers that have planned the same five instants from the same cursor
    job = declare(app, done, overlap="allow", grace_s=600.0)
    first, second = build_ticker(open_database(), name="first"), build_ticker(open_database(), name="second")
    clock.advance(300)
    first.poll(full=True)
    second.poll(full=True)

    # When both fire
    decided = first.process_due() + second.process_due()

    # Then each instant was decided once; both go on from where they are
    assert decided == 5
    assert [due for due, _ in states(database, job)] == [60, 120, 180, 240, 300]
    clock.advance(60)
    assert second.tick() + first.tick() == 1
    assert records(database)[f"job:{job.id}"]["cursor"] == str(T0 + 360)


def test_a_ticker_that_fell_behind_plans_again_from_the_cursor_that_is_stored(
    app, open_database, database, clock, done
):
    # Given a ticker whose knowledge is from before another one decided two instants
    job = declare(app, done, overlap="allow")
    ahead, behind = build_ticker(open_database(), name="ahead"), build_ticker(open_database(), name="behind")
    clock.advance(60)
    behind.poll(full=True)
    ahead.tick()
    clock.advance(60)
    ahead.tick()
    clock.advance(60)

    # When it fires with that knowledge, and looks again
    behind.process_due()
    behind.tick()

    assert [due for due, _ in states(database, job)] == [60, 120, 180]


def test_a_changed_definition_is_not_fired_from_an_old_plan(app, server_url, database, clock, done):
    declare(app, done, description="old")
    ticking = build_ticker(database)
    clock.advance(58)
    ticking.poll(full=True)
    changed = open_app(server_url, clock)
    job = declare(changed, done, description="new")
    clock.advance(2)

    ticking.process_due()
    ticking.tick()

    (occurrence,) = read_occurrences(database, job)
    assert (occurrence.version, occurrence.state) == (2, OccurrenceState.PENDING)


def test_a_paused_job_records_its_instants_as_skipped_until_it_is_resumed(app, database, clock, done):
    job, ticking = declare(app, done), build_ticker(database)
    app.control.pause("report", "holidays")
    clock.advance(60)
    ticking.tick()
    app.control.resume("report")
    clock.advance(60)
    ticking.tick()

    assert states(database, job) == [(60, "skipped"), (120, "pending")]
    assert re.fullmatch(r"paused by \S+: holidays", reasons(database, job)[0])


def test_a_job_without_a_further_instant_is_not_looked_at_again(app, database, clock, done):
    @app.job(Once(datetime.fromtimestamp(T0 + 10, UTC)), name="once")
    def once() -> None:
        done.append("once")

    app.deploy()
    clock.advance(10)
    assert build_ticker(database).tick() == 1
    assert records(database)["due"] == {app.jobs()[0].id: NEVER * 1000}
    clock.advance(86_400)
    assert build_ticker(database).tick() == 0


def test_an_instant_whose_claim_broke_off_is_fired_by_the_next_pass(app, database, clock, done):
    # Given a job that is due, and a connection that breaks while it is claimed
    job, ticking = declare(app, done), build_ticker(database)
    clock.advance(60)
    with break_next(database, "call_all", lambda: NotConnected("away")), pytest.raises(NotConnected):
        ticking.tick()

    # When the same ticker goes on
    assert ticking.tick() == 1

    assert states(database, job) == [(60, "pending")]


def test_an_instant_whose_claim_was_made_but_not_answered_is_not_decided_twice(app, database, clock, done):
    job, ticking = declare(app, done), build_ticker(database)
    clock.advance(60)
    with break_next(database, "call_all", lambda: NotConnected("away"), after=True), pytest.raises(NotConnected):
        ticking.tick()

    assert ticking.tick() == 0
    clock.advance(60)
    ticking.tick()

    assert states(database, job) == [(60, "pending"), (120, "skipped")]


def test_a_schedule_that_raises_holds_up_no_other_job(app, database, clock, done):
    # Given a custom schedule of which this ticker knows nothing, or whose code breaks
    class Breaking:
        def next_after(self, instant):
            return instant.replace(microsecond=0) + timedelta(minutes=1)

        def between(self, start, end):
            raise ZeroDivisionError("a bug of the user's")

    register_schedule("breaking", lambda _: Breaking())

    @app.job(Custom("breaking"), name="broken")
    def broken() -> None: ...

    job = declare(app, done)
    clock.advance(60)

    build_ticker(database).tick()

    assert states(database, job) == [(60, "pending")]


def test_registering_a_job_with_an_earlier_instant_wakes_a_ticker(app, database, clock, done):
    with collect_wakeups(database) as heard:
        declare(app, done)

    assert heard == ["job"]


def test_a_ticker_that_lost_a_promotion_sleeps_until_something_is_due(app, open_database, database, clock):
    # Given two tickers that know the same delayed run, which is due
    winner, loser = build_ticker(open_database(), name="winner"), build_ticker(open_database(), name="loser")
    app.enqueue("anything", delay=5)
    clock.advance(5)
    winner.poll(full=True)
    loser.poll(full=True)

    # When one has promoted it
    winner.process_due()
    loser.process_due()

    # Then the other one does not ask again without a pause
    assert loser._delayed == []
    assert loser._seconds_to_sleep() > 1


def test_triggering_a_job_fires_beside_its_schedule(app, database, clock, done):
    job = declare(app, done)
    occurrence, state = app.control.trigger("report")
    StepWorker(database, app).work()

    assert state == "pending"
    assert [(each.id, each.state.value) for each in read_occurrences(database, job)] == [(occurrence, "completed")]
    clock.advance(60)
    assert build_ticker(database).tick() == 1


def test_what_was_made_ready_fires_like_what_was_not(app, database, clock, done):
    job, ticking = declare(app, done), build_ticker(database)
    clock.advance(58)
    ticking.poll(full=True)
    ticking.upcoming.prepare_claims(ticking._database.keys)
    assert ticking.process_due() == 0

    clock.advance(2)
    assert ticking.process_due() == 1
    assert (states(database, job), reasons(database, job)) == ([(60, "pending")], ["fired on time"])


def test_what_was_made_ready_from_a_definition_that_has_changed_is_made_anew(app, database, clock, done):
    # Given a claim that was made ready from the first version
    declare(app, done)
    ticking = build_ticker(database)
    clock.advance(58)
    ticking.poll(full=True)
    ticking.upcoming.prepare_claims(ticking._database.keys)

    # When the second is registered before the instant
    job = app.control.register(msgspec.structs.replace(app.jobs()[0], description="second"))
    clock.advance(2)

    # Then the instant is fired once, under the second
    assert [ticking.process_due(), ticking.tick(), ticking.tick()] == [0, 1, 0]
    assert job.version == 2
    assert [each.version for each in read_occurrences(database, app.jobs()[0])] == [2]


def test_of_three_tickers_that_share_many_jobs_one_may_die_and_each_instant_is_fired_once(
    app, open_database, database, clock
):
    # Given 250 jobs that are due every minute, and three tickers that know of one another
    for number in range(250):
        app.job("* * * * *", name=f"job-{number}", overlap="allow")(lambda: None)
    app.deploy()
    tickers = [build_ticker(open_database(), name=f"ticker-{number}") for number in range(3)]
    decided = 0

    # When each minute another number of them acts, in another order
    for acting in ([0, 1, 2], [2, 1], [1, 0, 2]):
        clock.advance(58)
        for each in tickers:
            each.poll(full=True)
            each.upcoming.prepare_claims(each._database.keys)
        clock.advance(2)
        decided += sum(tickers[number].process_due() for number in acting)

    # Then every job has each of its instants once
    assert decided == 750
    assert {tuple(states(database, job)) for job in app.jobs()} == {
        ((60, "pending"), (120, "pending"), (180, "pending"))
    }


def test_a_job_that_cannot_be_claimed_holds_up_none_of_those_that_are_claimed_with_it(app, database, clock, caplog):
    # Given a job of which a stranger has broken a key, among others that are due in the same instant
    jobs = [declare_another(app, name) for name in ("a", "b", "c", "d", "e")]
    app.deploy()
    database.client.set(database.keys.history(jobs[2].id), "broken")
    others, ticking = [*jobs[:2], *jobs[3:]], build_ticker(database)
    # As where its user may not put the key aside
    database.mend = None
    ticking.tick()

    # When a ticker fires, instant by instant, then each of the others is on record every time
    for times in (1, 2):
        clock.advance(60)
        ticking.tick()
        assert [len(read_occurrences(database, job)) for job in others] == [times] * 4
    assert "5 instants could not be claimed together, so they are claimed singly" in caplog.text


def test_instants_that_could_not_be_claimed_are_claimed_when_that_is_mended_and_meanwhile_nobody_is_kept_busy(
    app, database, clock
):
    job = declare_another(app, "broken", grace_s=300)
    app.deploy()
    database.client.set(database.keys.queued(job.id), "broken")
    ticking = build_ticker(database)
    # As where its user may not put the key aside
    database.mend = None
    clock.advance(180)
    ticking.tick()
    assert read_occurrences(database, job) == []

    # It does not look again at once, or a job that stays so would keep it busy
    assert ticking._next_poll != 0.0

    database.client.delete(database.keys.queued(job.id))
    caught_up(ticking, clock)

    assert [each.due - T0 for each in read_occurrences(database, job)] == [60, 120, 180]


def declare_another(app, name, **policies):
    @app.job("* * * * *", name=name, overlap="queue", **policies)
    def work() -> None: ...

    return next(job for job in app.jobs() if job.name == name)
