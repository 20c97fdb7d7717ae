"""At the memory limit (`noeviction`) new work is refused whole, and what runs is recorded all the same."""

import pytest

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.store.calls import heartbeats, runs
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Reply
from jobistemer.store.server.connection import connect
from tests.support.clocks import NOW, FrozenClock
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    enqueue,
    fetch,
    fetch_one,
    finish,
    job,
    message,
    register,
    task,
)
from tests.support.servers import running, single
from tests.support.shard_state import find_leaks, nothing_written, records

# The fake server knows no limit, and that of a cluster's node is no other than that of a single server.
REAL = single()


@pytest.fixture(scope="module", params=REAL)
def limited_url(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("limited"), "--maxmemory-policy", "noeviction") as url:
        yield url


@pytest.fixture
def database(limited_url):
    client = connect(limited_url)
    client.config_set("maxmemory", 0)
    client.flushall()
    yield Database(client, Keys("test", 0), FrozenClock(), limited_url)
    client.close()


def fill_up(database):
    """From now on the server holds more than it may."""
    database.client.config_set("maxmemory", 1)


def refused(call):
    with pytest.raises(ServerRefused, match="used memory > 'maxmemory'"):
        call()
    return True


@pytest.mark.parametrize("stream_exists", [True, False])
def test_enqueueing_is_refused_whole(database, stream_exists):
    if stream_exists:
        enqueue(database)
    fill_up(database)
    with nothing_written(database):
        assert refused(lambda: enqueue(database, "run_2", unique="order-7"))
        assert refused(lambda: database.call(runs.enqueue_run(database.keys, message("run_3"), due_at=NOW)))


def test_of_many_calls_each_is_refused_whole(database):
    fill_up(database)
    with nothing_written(database):
        replies = database.call_all([runs.enqueue_run(database.keys, message(run)) for run in ("run_1", "run_2")])
    assert [type(reply) for reply in replies] == [ServerRefused, ServerRefused]


def test_an_instant_is_not_decided_and_the_cursor_stays(database):
    register(database, job())
    fill_up(database)
    with nothing_written(database):
        assert refused(lambda: claim(database, job(), decision(T0 + MINUTE)))


def test_a_delayed_run_stays_delayed(database):
    database.call(runs.enqueue_run(database.keys, message(), due_at=NOW))
    fill_up(database)
    with nothing_written(database):
        assert refused(lambda: database.call(runs.promote_runs(database.keys, ["default:5:run_1"], NOW)))


@pytest.mark.parametrize("state", ["succeeded", "failed", "canceled"])
def test_the_end_of_running_work_is_recorded(database, state):
    enqueue(database, retry=NO_RETRIES)
    delivery = fetch_one(database)
    fill_up(database)
    assert finish(database, build_ended(delivery, state, result=b"42")) == Reply("DONE", [])
    attempt = f"attempt:{ids.attempt_id('run_1', 0)}"
    assert records(database)[attempt]["state"] == state
    assert find_leaks(database) == {}


@pytest.mark.parametrize("state", ["failed", "lost"])
def test_running_work_that_goes_on_is_recorded_and_not_lost(database, state):
    enqueue(database)
    delivery = fetch_one(database)
    fill_up(database)
    assert finish(database, build_ended(delivery, state)) == Reply("DONE", [])
    found = records(database)
    assert "default:5:run_1" in found.get("delayed", ()) or len(found["stream:default:5"].entries) == 1


def test_an_occurrence_moves_on_to_its_end(database):
    definition = job(task("a"), task("b", "a"))
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    delivery = fetch_one(database)
    fill_up(database)
    assert finish(database, build_ended(delivery), definition) == Reply("DONE", [1])
    database.client.config_set("maxmemory", 0)
    (last,) = fetch(database)
    fill_up(database)
    assert finish(database, build_ended(last), definition) == Reply("DONE", [0])
    assert find_leaks(database) == {}


def test_workers_and_tickers_do_not_pass_for_dead(database):
    fill_up(database)
    database.call(heartbeats.beat_worker(database.keys, "alice", NOW, 15_000, NOW, b"{}", "id"))
    database.call(heartbeats.beat_ticker(database.keys, "t1", NOW, b"{}", NOW, 100, "id"))
    assert records(database)["workers"] == {"alice": NOW}
    assert records(database)["tickers"] == {"t1": NOW}


def test_waiting_work_can_be_cancelled(database):
    database.call(runs.enqueue_run(database.keys, message(), due_at=NOW))
    fill_up(database)
    assert database.client.zcard(database.keys.delayed) == 1
    from jobistemer.store.actions.cancel import cancel_run

    assert cancel_run(database, "run_1", "not needed") == "CANCELED"
    assert find_leaks(database) == {}
