"""At the memory limit (`noeviction`) new work is refused whole, and what runs is recorded all the same."""

import pytest

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused
from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.states import OccurrenceState
from jobistemer.store.actions.cancel import cancel_run
from jobistemer.store.calls import groups, heartbeats, holds, jobs, limits, occurrences, runs, streams, unknown_tasks
from jobistemer.store.calls.returned_runs import Unstarted, return_runs
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Reply
from jobistemer.store.server.connection import connect
from tests.support.clocks import NOW, FrozenClock
from tests.support.groups import add_children, group_of
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
    register_together,
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


@pytest.mark.parametrize("is_back", [False, True])
def test_a_new_job_is_refused_whole_alone_and_among_others(database, is_back):
    if is_back:
        register(database, job())
        database.call(jobs.remove(database.keys, jobs.find_job(database, "report"), NOW))
    fill_up(database)
    with nothing_written(database):
        assert refused(lambda: register(database, job()))
        assert refused(lambda: register_together(database, job(), job(name="other")))


def test_a_new_version_of_a_job_is_refused_whole(database):
    register(database, job())
    fill_up(database)
    with nothing_written(database):
        assert refused(lambda: register(database, job(max_queued=7), "f2", seen=1))


def test_an_instant_is_not_decided_and_the_cursor_stays(database):
    register(database, job())
    fill_up(database)
    with nothing_written(database):
        assert refused(lambda: claim(database, job(), decision(T0 + MINUTE)))


def test_a_delayed_run_stays_delayed_also_behind_one_without_a_record(database):
    for run in ("run_1", "run_2"):
        database.call(runs.enqueue_run(database.keys, message(run), due_at=NOW))
    database.client.delete(database.keys.run("run_1"))
    fill_up(database)
    members = ["default:5:run_1", "default:5:run_2"]
    for due in (members, members[1:]):
        with nothing_written(database):
            assert refused(lambda due=due: database.call(runs.promote_runs(database.keys, due, NOW)))


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


ONE, OTHER = LimitUse("task/greet", 1, 0), LimitUse("task/greet:7", 1, 0)
RATE = LimitUse("task/greet", 1, 10_000)


def arrive(database, run):
    enqueue(database, run)
    return fetch_one(database)


def admit(database, delivery, *uses, now=NOW):
    return database.call(limits.admit_run(database.keys, delivery, uses, now))


@pytest.mark.parametrize(("use", "word"), [(ONE, "WAITS"), (RATE, "LATER")])
def test_runs_under_limits_start_and_those_for_which_there_is_no_room_are_put_off(database, use, word):
    first, second = arrive(database, "run_1"), arrive(database, "run_2")
    fill_up(database)
    assert admit(database, first, use) == Reply("ADMITTED", [])
    assert admit(database, second, use).word == word
    assert records(database)["run:run_2"]["state"] == "scheduled"


@pytest.mark.parametrize("needs_another", [False, True])
def test_a_run_leaves_the_waiting_list_of_its_limit(database, needs_another):
    uses = (ONE, OTHER) if needs_another else (ONE,)
    first, second = arrive(database, "run_1"), arrive(database, "run_2")
    admit(database, first, *uses)
    assert admit(database, second, *uses).word == "WAITS"
    database.client.delete(database.keys.held(ONE.name))
    fill_up(database)
    waiting = database.call(limits.admit_waiting_run(database.keys, ONE.name, "default:5:run_2", uses))
    assert waiting == (Reply("MOVED", [b"task/greet:7"]) if needs_another else Reply("ADMITTED", []))
    assert "waiting:task/greet" not in records(database)


def test_entries_that_were_not_started_go_back(database):
    held, unknown, unstarted = (arrive(database, f"run_{number}") for number in range(3))
    database.client.zadd(database.keys.holds, {"task/greet": NOW + MINUTE})
    fill_up(database)
    assert database.call(holds.hold_run(database.keys, held, "task/greet", NOW)).word == "HELD"
    assert (
        database.call(unknown_tasks.put_off_unknown(database.keys, unknown, NOW, "no worker knows it")).word == "LATER"
    )
    assert database.call(return_runs(database.keys, [Unstarted(unstarted, ())])) == Reply("RETURNED", [])
    assert database.client.xlen(database.keys.stream("default:10")) == 1


def test_running_work_can_be_cancelled(database):
    delivery = arrive(database, "run_1")
    fill_up(database)
    assert database.call(runs.request_cancel(database.keys, "run_1", delivery.entry, NOW, "no")) == Reply(
        "REQUESTED", []
    )
    assert records(database)["cancels"] == {"run_1": NOW}


def test_runs_of_a_group_can_be_cancelled(database):
    enqueue(database)
    add_children(database, fetch_one(database), range(3))
    fill_up(database)
    assert database.call(groups.halt_group(database.keys, group_of(), "not needed")) == Reply("HALTED", [3])


def test_a_job_can_be_removed(database):
    register(database, job())
    stored = jobs.find_job(database, "report")
    fill_up(database)
    assert database.call(jobs.remove(database.keys, stored, NOW, "ana")) == Reply("REMOVED", [])
    assert jobs.find_job(database, "report") is None


def test_an_occurrence_that_has_timed_out_is_halted(database):
    definition = job(occurrence_timeout_s=30.0)
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    (occurrence,) = records(database)["deadlines"]
    fill_up(database)
    halt = occurrences.halt(database.keys, occurrence, OccurrenceState.TIMED_OUT, "timed out after 30 s", NOW)
    assert database.call(halt) == Reply("HALTED", [])
    assert records(database)["deadlines"] == {occurrence: NOW}


def test_a_worker_starts_where_its_streams_are_open(database):
    places = ["default:5"]
    streams.open_streams(database, places)
    fill_up(database)
    streams.open_streams(database, places)
    assert database.call(unknown_tasks.join_worker(database.keys, NOW)) == Reply("LEFT", [0])


def test_waiting_work_can_be_cancelled(database):
    database.call(runs.enqueue_run(database.keys, message(), due_at=NOW))
    fill_up(database)
    assert database.client.zcard(database.keys.delayed) == 1
    assert cancel_run(database, "run_1", "not needed") == "CANCELED"
    assert find_leaks(database) == {}
