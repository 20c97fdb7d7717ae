"""Recovery by tickers that take steps: rows for every missed instant, one decision each, whoever dies in between."""

import pytest

from jobistemer import Context
from jobistemer.core.settings import TickerSettings
from tests.support.clocks import NOW
from tests.support.shard_state import find_leaks
from tests.support.step_system import StepWorker, break_next, build_ticker, open_app, read_occurrences

MINUTE = 60
START = NOW // 1000
SLOWLY = TickerSettings(catch_up=5)
"""Five instants of a job in one pass, so that a backlog takes several."""


@pytest.fixture
def app(server_url, clock, database):
    app = open_app(server_url, clock)
    app.seen = []
    return app


def declared(app, **policies):
    @app.job("* * * * *", **policies)
    def report(context: Context) -> None:
        app.seen.append(((round(context.due_at.timestamp()) - START) // MINUTE, minutes(context.stands_for)))

    app.deploy()
    return app.declarations["report"].build()


def minutes(instants):
    return [(round(each.timestamp()) - START) // MINUTE for each in instants]


def rows(database, job):
    """The state of each instant, by the number of its minute."""
    return {(each.due - START) // MINUTE: str(each.state) for each in read_occurrences(database, job)}


def until_caught_up(clock, *tickers):
    """All tick in turn until a round decides nothing and nothing is put off."""
    decided, idle = 0, 0
    while idle < 3:
        now = sum(each.tick() for each in tickers)
        decided, idle = decided + now, 0 if now else idle + 1
        clock.advance(0.1)
    return decided


def test_a_compressed_run_lists_every_instant_it_stands_for_across_several_passes(app, database, clock):
    job = declared(app, recovery="compressed", grace_s=30)
    clock.advance(12 * MINUTE + 45)
    assert until_caught_up(clock, build_ticker(database, SLOWLY)) == 12
    StepWorker(database, app).work()
    assert rows(database, job) == dict.fromkeys(range(1, 12), "compressed") | {12: "completed"}
    assert app.seen == [(12, list(range(1, 13)))]
    assert find_leaks(database) == {}


def test_a_ticker_that_dies_in_between_leaves_the_rest_and_the_beginning_to_the_next(app, database, clock):
    job = declared(app, recovery="compressed", grace_s=30)
    clock.advance(12 * MINUTE + 45)
    assert build_ticker(database, SLOWLY).tick() == 5
    # It is gone. Minutes later another one, which knows nothing but what is in Redis, goes on.
    clock.advance(3 * MINUTE)
    until_caught_up(clock, build_ticker(database, SLOWLY))
    StepWorker(database, app).work()
    assert rows(database, job) == dict.fromkeys(range(1, 15), "compressed") | {15: "completed"}
    assert app.seen == [(15, list(range(1, 16)))]


def test_a_trigger_by_hand_while_instants_are_being_compressed_takes_nothing_from_them(app, database, clock):
    declared(app, recovery="compressed", grace_s=30, overlap="allow")
    clock.advance(12 * MINUTE + 45)
    build_ticker(database, SLOWLY).tick()
    app.control.trigger("report")
    until_caught_up(clock, build_ticker(database, SLOWLY))
    StepWorker(database, app).work()
    assert sorted(app.seen) == [(12, []), (12, list(range(1, 13)))]


@pytest.mark.parametrize("recovery", ["execute_all", "execute_last", "mark_as_missed", "bounded_window", "compressed"])
def test_two_tickers_race_through_a_backlog_and_every_instant_has_one_row(app, open_database, clock, recovery):
    one, other = open_database(), open_database()
    job = declared(app, recovery=recovery, grace_s=30, overlap="allow", recovery_limit=3)
    clock.advance(23 * MINUTE + 45)
    racing = build_ticker(one, SLOWLY, "one"), build_ticker(other, SLOWLY, "other")
    assert until_caught_up(clock, *racing) == 23
    StepWorker(one, app).work()
    assert sorted(rows(one, job)) == list(range(1, 24))
    ran = {number for number, state in rows(one, job).items() if state == "completed"}
    assert sorted(number for number, _ in app.seen) == sorted(ran)
    assert (
        ran
        == {
            "execute_all": set(range(1, 24)),
            "execute_last": {23},
            "mark_as_missed": set(),
            "bounded_window": {21, 22, 23},
            "compressed": {23},
        }[recovery]
    )
    if recovery == "compressed":
        assert app.seen == [(23, list(range(1, 24)))]


def test_a_claim_whose_answer_is_lost_is_not_decided_twice(app, database, clock):
    job = declared(app, recovery="execute_all", grace_s=30, overlap="allow", catch_up_per_s=1000)
    clock.advance(4 * MINUTE + 45)
    with break_next(database, "call_all", lambda: ConnectionError("cut"), after=True), pytest.raises(ConnectionError):
        build_ticker(database).tick()
    until_caught_up(clock, build_ticker(database))
    StepWorker(database, app).work()
    assert rows(database, job) == dict.fromkeys(range(1, 5), "completed")
    assert len(app.seen) == 4


def test_catching_up_keeps_its_pace_across_two_tickers_while_another_job_stays_on_time(app, open_database, clock):
    @app.job("* * * * * *", grace_s=1)
    def pulse() -> None: ...

    one, other = open_database(), open_database()
    declared(app, recovery="execute_all", grace_s=30, overlap="allow", catch_up_per_s=2)
    racing = build_ticker(one, name="one"), build_ticker(other, name="other")
    clock.advance(30 * MINUTE + 45)
    while any(each.tick() for each in racing):
        pass
    began = clock.now_ms()
    for _ in range(80):
        clock.advance(0.125)
        for each in racing:
            each.tick()
    fired = [each for each in read_occurrences(one, app.declarations["report"].build()) if each.state == "pending"]
    # Ten seconds at two a second, and the first one.
    assert len(fired) == 21
    pulses = [each for each in read_occurrences(one, app.declarations["pulse"].build()) if each.due * 1000 > began]
    assert [each.late_ms for each in pulses] == [0] * 10


def test_a_new_schedule_does_not_stand_for_what_was_compressed_under_the_old_one(app, database, clock):
    declared(app, recovery="compressed", grace_s=30)
    clock.advance(12 * MINUTE + 45)
    build_ticker(database, SLOWLY).tick()
    app.declarations.clear()
    app.handlers.clear()

    @app.job("30 * * * * *", name="report", recovery="compressed", grace_s=30, overlap="allow")
    def every_half(context: Context) -> None:
        app.seen.append([round(each.timestamp()) for each in context.stands_for])

    app.deploy()
    clock.advance(2 * MINUTE)
    until_caught_up(clock, build_ticker(database, SLOWLY))
    StepWorker(database, app).work()
    # What the old schedule left was one run under its own version; 12:45 is where the new one began, and half a
    # minute after 14:00 is on time at 14:45.
    assert app.seen == [
        [START + n * MINUTE for n in range(1, 13)],
        [START + 13 * MINUTE + 30],
        [],
    ]
