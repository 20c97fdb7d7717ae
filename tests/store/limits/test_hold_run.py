import pytest

from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import holds
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish, message
from tests.support.shard_state import Stream, expiring_keys, nothing_written, records, ttl_ms

UNTIL = NOW + 600_000
NAME = "task/greet:7"


@pytest.fixture
def delivery(database):
    database.client.zadd(database.keys.holds, {NAME: UNTIL})
    enqueue(database)
    return fetch_one(database)


def hold(database, delivery, now=NOW):
    return database.call(holds.hold_run(database.keys, delivery, NAME, now))


def test_a_run_is_put_off_until_the_hold_ends_and_says_why(database, delivery):
    assert hold(database, delivery) == Reply("HELD", [UNTIL])
    assert records(database) == {
        "run:run_1": {
            "state": "scheduled",
            "handler": "greet",
            "place": "default:5",
            "entry": "",
            "message": encode_message(message()).decode(),
            "attempt": "0",
            "crashes": "0",
            "due_at": str(UNTIL),
            "note": f"on hold: {NAME}",
        },
        "stream:default:5": Stream({}, {}),
        "streams": {"default:5"},
        "delayed": {"default:5:run_1": UNTIL},
        f"parked:{NAME}": {"default:5:run_1": UNTIL},
        "holds": {NAME: UNTIL},
    }
    assert expiring_keys(database) == {f"parked:{NAME}"}
    assert ttl_ms(database, f"parked:{NAME}") == 660_000


def test_a_second_send_puts_nothing_off_twice(database, delivery):
    hold(database, delivery)
    with nothing_written(database):
        assert hold(database, delivery) == Reply("STALE", [])


def test_a_hold_that_is_over_holds_nothing(database, delivery):
    with nothing_written(database):
        assert hold(database, delivery, now=UNTIL) == Reply("FREE", [])
    database.client.delete(database.keys.holds)
    with nothing_written(database):
        assert hold(database, delivery) == Reply("FREE", [])


def test_an_attempt_that_somebody_else_has_ended_is_not_put_off(database, delivery):
    finish(database, build_ended(delivery, "lost", worker="bob"))
    with nothing_written(database):
        assert hold(database, delivery) == Reply("STALE", [])
