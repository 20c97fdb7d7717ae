import json

from jobistemer.core.planning.alerts import build_alert_message
from jobistemer.store.calls import jobs, outcome_counts
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import fetch, job, register
from tests.support.shard_state import nothing_written, records

AWAITED = job(expect_within_s=600, alert="notify")
ID = AWAITED.id
BY = NOW + 600_000


def raise_it(database, seen=BY, next_at=0, now=BY):
    state = "overdue" if seen else "recovered"
    message = build_alert_message("report", "notify", state, 600, seen, now)
    return database.call(outcome_counts.raise_alert(database.keys, ID, seen, next_at, message, now))


def test_the_job_is_marked_and_a_run_tells_it_in_one_step(database):
    register(database, AWAITED)
    assert raise_it(database) == Reply("RAISED", [])
    assert records(database)[f"job:{ID}"]["overdue_at"] == str(BY)
    assert "expected" not in records(database)
    (delivery,) = fetch(database)
    assert delivery.message.handler == "notify"
    text = "job report has not completed within 600 s"
    assert json.loads(bytes(delivery.message.payload)) == {
        "alert": {"job": "report", "state": "overdue", "at": BY, "text": text}
    }
    assert records(database)[f"run:{delivery.message.run}"]["state"] == "pending"


def test_of_two_tickers_and_of_two_sends_one_tells_it(database):
    register(database, AWAITED)
    raise_it(database)
    with nothing_written(database):
        assert raise_it(database) == Reply("STALE", [])
        assert raise_it(database, now=BY + 7) == Reply("STALE", [])


def test_a_recovery_takes_the_mark_away_and_expects_the_next_completion(database):
    register(database, AWAITED)
    raise_it(database)
    database.client.zadd(database.keys.expected, {ID: 0})
    assert raise_it(database, seen=0, next_at=BY + 9) == Reply("RAISED", [])
    assert "overdue_at" not in records(database)[f"job:{ID}"]
    assert records(database)["expected"] == {ID: BY + 9}
    assert len(fetch(database)) == 2


def test_a_job_that_has_completed_meanwhile_is_not_told_of(database):
    register(database, AWAITED)
    database.client.zadd(database.keys.expected, {ID: BY + 1})
    with nothing_written(database):
        assert raise_it(database) == Reply("STALE", [])


def test_a_job_that_is_gone_is_not_told_of(database):
    register(database, AWAITED)
    database.call(jobs.remove(database.keys, jobs.find_job(database, "report"), NOW))
    with nothing_written(database):
        assert raise_it(database) == Reply("STALE", [])
