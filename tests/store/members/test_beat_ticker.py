from jobistemer.store.calls import heartbeats, runs
from tests.support.clocks import NOW
from tests.support.lifecycle import message
from tests.support.shard_state import find_leaks, nothing_written, records, ttl_ms


def beat(database, ticker="t1", now=NOW, horizon=NOW + 2000, limit=100):
    return heartbeats.read_agenda(
        database.keys, database.call(heartbeats.beat_ticker(database.keys, ticker, now, b"{}", horizon, limit, "me"))
    )


def test_a_ticker_says_that_it_lives_until_it_no_longer_does(database):
    assert beat(database) == heartbeats.Agenda({}, [], [], ["t1"], [], [], "me")
    assert records(database) == {"tickers": {"t1": NOW}, "ticker:t1": {"status": "{}"}, "identity": "me"}
    assert ttl_ms(database, "tickers") == ttl_ms(database, "ticker:t1") == 60_000
    assert find_leaks(database) == {}


def test_a_second_send_of_the_same_beat_changes_nothing(database):
    beat(database)
    with nothing_written(database):
        beat(database)


def test_tickers_that_have_been_silent_for_a_minute_are_forgotten(database):
    beat(database, "gone", NOW - 60_000)
    beat(database, "slow", NOW - 59_999)
    beat(database, "t1")
    assert records(database)["tickers"] == {"slow": NOW - 59_999, "t1": NOW}


def test_tickers_hear_of_one_another_in_an_order_that_all_of_them_see(database):
    for ticker, silent in {"t3": 9_999, "t2": 10_001, "t1": 0}.items():
        beat(database, ticker, NOW - silent)
    assert beat(database, "t4").tickers == ["t1", "t3", "t4"]


def test_a_ticker_that_ends_in_order_is_no_longer_listed(database):
    beat(database, "t1")
    beat(database, "t2")
    heartbeats.forget_ticker(database, "t1")
    assert records(database) == {"tickers": {"t2": NOW}, "ticker:t2": {"status": "{}"}, "identity": "me"}


def test_the_agenda_lists_what_is_due_up_to_the_horizon_earliest_first(database):
    database.client.zadd(database.keys.due, {"late": NOW - 5, "soon": NOW + 2000, "later": NOW + 2001})
    assert beat(database).due == {"late": NOW - 5, "soon": NOW + 2000}
    assert list(beat(database).due) == ["late", "soon"]


def test_no_more_jobs_are_listed_than_were_asked_for(database):
    database.client.zadd(database.keys.due, {f"job_{n}": NOW - n for n in range(5)})
    assert beat(database, limit=2).due == {"job_4": NOW - 4, "job_3": NOW - 3}


def test_the_agenda_lists_the_first_hundred_delayed_runs_with_their_times(database):
    for n in range(101):
        database.call(runs.enqueue_run(database.keys, message(f"run_{n:03}"), due_at=NOW + n + 1))
    delayed = beat(database).delayed
    assert delayed[0] == ("default:5:run_000", NOW + 1)
    assert delayed[-1] == ("default:5:run_099", NOW + 100)
    assert len(delayed) == 100


def test_the_agenda_names_up_to_a_hundred_jobs_whose_queue_can_move_on(database):
    database.client.sadd(database.keys.starts, *(f"job_{n}" for n in range(101)))
    assert len(set(beat(database).starts)) == 100


def test_the_agenda_lists_the_first_twenty_jobs_that_have_to_complete_with_their_times(database):
    database.client.zadd(database.keys.expected, {f"job_{n:02}": NOW + n for n in range(21)})
    assert beat(database).expected == [(f"job_{n:02}", NOW + n) for n in range(20)]
