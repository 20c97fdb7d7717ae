from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import nothing_written, records, ttl_ms

HOUR = 3_600_000


def request(database, entry, now=NOW, run="run_1", reason="no"):
    return database.call(runs.request_cancel(database.keys, run, entry, now, reason))


def test_a_run_in_flight_is_marked_and_its_worker_can_read_of_it(database):
    enqueue(database)
    delivery = fetch_one(database)
    before = records(database)
    assert request(database, delivery.entry) == Reply("REQUESTED", [])
    assert records(database) == before | {
        "run:run_1": before["run:run_1"] | {"cancel": str(NOW), "cancel_reason": "no"},
        "cancels": {"run_1": NOW},
    }
    assert ttl_ms(database, "cancels") == HOUR


def test_a_second_send_of_the_same_call_changes_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    request(database, delivery.entry)
    with nothing_written(database):
        assert request(database, delivery.entry) == Reply("REQUESTED", [])


def test_an_attempt_that_has_ended_cannot_be_cancelled(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery))
    with nothing_written(database):
        assert request(database, delivery.entry) == Reply("STALE", [])


def test_an_attempt_that_is_to_be_retried_cannot_be_cancelled_by_its_entry(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "failed"))
    with nothing_written(database):
        assert request(database, delivery.entry) == Reply("STALE", [])


def test_the_entry_of_an_earlier_attempt_cancels_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost"))
    with nothing_written(database):
        assert request(database, delivery.entry) == Reply("STALE", [])


def test_a_run_that_is_not_on_record_cannot_be_cancelled(database):
    with nothing_written(database):
        assert request(database, "1-1") == Reply("STALE", [])


def test_requests_that_every_worker_has_read_are_forgotten(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")
    first, second = fetch_one(database), fetch_one(database)
    request(database, first.entry, NOW, "run_1")
    request(database, second.entry, NOW + HOUR, "run_2")
    assert records(database)["cancels"] == {"run_2": NOW + HOUR}


def test_the_reason_is_on_record_though_the_worker_that_ends_the_run_has_not_read_it(database):
    enqueue(database)
    delivery = fetch_one(database)
    request(database, delivery.entry, reason="wrong address")
    finish(database, build_ended(delivery, "canceled", error="canceled while it ran"))
    ended = records(database)["run:run_1"]
    assert (ended["state"], ended["error"]) == ("canceled", "canceled: wrong address")


def test_a_long_reason_is_cut_at_five_hundred_characters(database):
    enqueue(database)
    request(database, fetch_one(database).entry, reason="x" * 10_000)
    assert records(database)["run:run_1"]["cancel_reason"] == "x" * 500
