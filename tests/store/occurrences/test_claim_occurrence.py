import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.core.planning.plan import build_runs
from jobistemer.core.runs.message import encode_message
from jobistemer.core.schedules import Cron
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    fetch,
    fetch_one,
    finish,
    job,
    register,
    task,
)
from tests.support.shard_state import Stream, expiring_keys, find_leaks, nothing_written, records, ttl_ms

ID = job().id
ONE, TWO, THREE = T0 + MINUTE, T0 + 2 * MINUTE, T0 + 3 * MINUTE


def occurrence(instant):
    return ids.occurrence_id(ID, instant)


def run(instant, name):
    return ids.run_id(occurrence(instant), ids.task_id(ID, name))


def texts(definition, instant, version=1):
    """The encoded message of each task."""
    found = build_runs(definition, version, instant, instant * 1000)
    return {each.name: encode_message(text).decode() for each, text in found}


def build_extra(database, definition, instant, version=1):
    reason = "triggered by hand"
    return occurrences.claim_extra(database.keys, definition, version, instant, instant * 1000, reason)


def extra(database, definition, instant, version=1):
    return database.call(build_extra(database, definition, instant, version))


def test_a_due_instant_is_fired_its_first_runs_wait_on_their_streams_and_the_cursor_moves(database):
    definition = job(task("load", queue="etl"), task("report", "load"))
    register(database, definition)
    before = records(database)
    assert claim(database, definition, decision(ONE)) == Reply("CLAIMED", [b"pending"])

    load, report = run(ONE, "load"), run(ONE, "report")
    common = {"state": "pending", "enqueued_at": str(ONE * 1000), "occurrence": occurrence(ONE)}
    entry = records(database)[f"run:{load}"]["entry"]
    waiting = {"waits": "1", "message": texts(definition, ONE)["report"]}
    assert records(database) == {
        f"job:{ID}": before[f"job:{ID}"] | {"cursor": str(ONE)},
        f"versions:{ID}": before[f"versions:{ID}"],
        "due": {ID: TWO * 1000},
        f"occurrence:{occurrence(ONE)}": {
            "job": ID,
            "version": "1",
            "due": str(ONE),
            "state": "pending",
            "reason": "fired on time",
            "claimed_at": str(ONE * 1000),
            "open": "2",
        },
        f"history:{ID}": {occurrence(ONE): ONE},
        f"live:{ID}": {occurrence(ONE): ONE},
        f"run:{load}": common | {"handler": "report.load", "place": "etl:5", "entry": entry},
        f"run:{report}": common | {"handler": "report.report", "place": "default:5"} | waiting,
        "stream:etl:5": Stream({entry: {"m": texts(definition, ONE)["load"], "n": "0", "c": "0"}}, {}),
        "streams": {"etl:5"},
    }
    assert expiring_keys(database) == set()


def test_a_second_send_of_the_same_call_writes_nothing(database):
    register(database, job())
    claim(database, job(), decision(ONE))
    with nothing_written(database):
        assert claim(database, job(), decision(ONE)) == Reply("TAKEN", [])


def test_of_two_tickers_one_fires_and_the_other_loses_cheaply(open_database):
    one, other = open_database(), open_database()
    register(one, job())
    words = [claim(ticker, job(), decision(ONE)).word for ticker in (one, other)]
    assert words == ["CLAIMED", "TAKEN"]
    assert len(fetch(one)) == 1


def test_a_ticker_that_was_asleep_cannot_move_the_cursor_back(database):
    register(database, job())
    claim(database, job(), decision(ONE, "missed"))
    claim(database, job(), decision(TWO, "missed"))
    with nothing_written(database):
        assert claim(database, job(), decision(ONE)) == Reply("TAKEN", [])
        assert claim(database, job(), decision(TWO, expected=T0)) == Reply("TAKEN", [])


def test_a_ticker_that_plans_past_undecided_instants_is_told_where_to_begin(database):
    register(database, job())
    with nothing_written(database):
        assert claim(database, job(), decision(TWO)) == Reply("BEHIND", [T0])


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_decision_from_another_version_is_refused(database, version):
    register(database, job())
    register(database, job(max_queued=7), "f2", seen=1)
    with nothing_written(database):
        assert claim(database, job(), decision(ONE), version=version) == Reply("STALE", [2])


def test_a_job_that_is_gone_fires_no_more(database):
    with nothing_written(database):
        assert claim(database, job(), decision(ONE)) == Reply("STALE", [0])


@pytest.mark.parametrize("state", ["missed", "skipped"])
def test_an_instant_that_does_not_run_is_recorded_with_its_reason_and_expires(database, state):
    register(database, job())
    before = records(database)
    assert claim(database, job(), decision(ONE, state, "no ticker ran")) == Reply("CLAIMED", [state.encode()])
    assert records(database) == {
        f"job:{ID}": before[f"job:{ID}"] | {"cursor": str(ONE)},
        f"versions:{ID}": before[f"versions:{ID}"],
        "due": {ID: TWO * 1000},
        f"occurrence:{occurrence(ONE)}": {
            "job": ID,
            "version": "1",
            "due": str(ONE),
            "state": state,
            "reason": "no ticker ran",
            "claimed_at": str(ONE * 1000),
            "ended_at": str(ONE * 1000),
        },
        f"history:{ID}": {occurrence(ONE): ONE},
    }
    assert ttl_ms(database, f"occurrence:{occurrence(ONE)}") == 7 * 86_400_000
    assert find_leaks(database) == {}


def compressed(instant, state="compressed"):
    return msgspec.structs.replace(decision(instant, state, "compressed"), since=T0)


def test_compressed_rows_remember_where_they_begin_until_the_run_that_stands_for_them(database):
    register(database, job())
    claim(database, job(), compressed(ONE))
    assert records(database)[f"job:{ID}"]["since"] == str(T0)

    claim(database, job(), compressed(TWO, "pending"))
    state = records(database)
    assert "since" not in state[f"job:{ID}"]
    assert state[f"occurrence:{occurrence(ONE)}"]["since"] == state[f"occurrence:{occurrence(TWO)}"]["since"] == str(T0)


def test_overlap_skip_records_which_occurrence_was_still_running(database):
    register(database, job())
    claim(database, job(), decision(ONE))
    assert claim(database, job(), decision(TWO)) == Reply("CLAIMED", [b"skipped"])
    state = records(database)
    assert state[f"occurrence:{occurrence(TWO)}"]["reason"] == f"skipped because {occurrence(ONE)} was still running"
    assert state[f"live:{ID}"] == {occurrence(ONE): ONE}
    assert len(state["stream:default:5"].entries) == 1


def test_overlap_skip_fires_again_when_the_earlier_one_has_ended(database):
    register(database, job())
    claim(database, job(), decision(ONE))
    finish(database, build_ended(fetch_one(database)), job())
    assert claim(database, job(), decision(TWO)) == Reply("CLAIMED", [b"pending"])


def test_overlap_queue_makes_the_occurrence_wait_for_the_earlier_one(database):
    definition = job(overlap=Overlap.QUEUE)
    register(database, definition)
    claim(database, definition, decision(ONE))
    assert claim(database, definition, decision(TWO)) == Reply("CLAIMED", [b"queued"])
    state = records(database)
    assert state[f"occurrence:{occurrence(TWO)}"] == {
        "job": ID,
        "version": "1",
        "due": str(TWO),
        "state": "queued",
        "reason": f"fired on time; queued behind {occurrence(ONE)}",
        "claimed_at": str(TWO * 1000),
    }
    assert (state[f"live:{ID}"], state[f"queued:{ID}"]) == ({occurrence(ONE): ONE}, {occurrence(TWO): TWO})
    assert f"run:{run(TWO, 'only')}" not in state


def test_overlap_queue_keeps_the_order_while_one_still_waits_to_be_started(database):
    definition = job(overlap=Overlap.QUEUE)
    register(database, definition)
    claim(database, definition, decision(ONE))
    claim(database, definition, decision(TWO))
    finish(database, build_ended(fetch_one(database)), definition)
    assert claim(database, definition, decision(THREE)) == Reply("CLAIMED", [b"queued"])


def test_overlap_queue_is_bounded(database):
    definition = job(overlap=Overlap.QUEUE, max_queued=1)
    register(database, definition)
    claim(database, definition, decision(ONE))
    claim(database, definition, decision(TWO))
    assert claim(database, definition, decision(THREE)) == Reply("CLAIMED", [b"skipped"])
    reason = records(database)[f"occurrence:{occurrence(THREE)}"]["reason"]
    assert reason == f"skipped because {occurrence(ONE)} was still running and 1 waited: max_queued"


def test_overlap_allow_fires_beside_the_earlier_one(database):
    definition = job(overlap=Overlap.ALLOW)
    register(database, definition)
    claim(database, definition, decision(ONE))
    assert claim(database, definition, decision(TWO)) == Reply("CLAIMED", [b"pending"])
    assert records(database)[f"live:{ID}"] == {occurrence(ONE): ONE, occurrence(TWO): TWO}


def test_a_paused_job_records_its_instants_as_skipped_until_the_pause_ends(database):
    register(database, job())
    database.call(jobs.pause(database.keys, ID, "paused: release", TWO * 1000, NOW))
    assert claim(database, job(), decision(ONE)) == Reply("CLAIMED", [b"skipped"])
    assert records(database)[f"occurrence:{occurrence(ONE)}"]["reason"] == "paused: release"
    assert claim(database, job(), decision(TWO)) == Reply("CLAIMED", [b"pending"])


def test_a_pause_without_an_end_holds_until_it_is_ended(database):
    register(database, job())
    database.call(jobs.pause(database.keys, ID, "paused", 0, NOW))
    assert claim(database, job(), decision(ONE)) == Reply("CLAIMED", [b"skipped"])
    database.call(jobs.resume(database.keys, ID, NOW))
    assert claim(database, job(), decision(TWO)) == Reply("CLAIMED", [b"pending"])


def test_a_missed_instant_of_a_paused_job_stays_missed(database):
    register(database, job())
    database.call(jobs.pause(database.keys, ID, "paused", 0, NOW))
    assert claim(database, job(), decision(ONE, "missed")) == Reply("CLAIMED", [b"missed"])


def test_a_triggered_occurrence_leaves_cursor_and_due_mark_and_runs_in_spite_of_a_pause(database):
    register(database, job())
    database.call(jobs.pause(database.keys, ID, "paused", 0, NOW))
    before = records(database)
    assert extra(database, job(), T0 + 7) == Reply("CLAIMED", [b"pending"])
    state = records(database)
    assert (state[f"job:{ID}"], state["due"]) == (before[f"job:{ID}"], before["due"])
    assert state[f"occurrence:{occurrence(T0 + 7)}"]["reason"] == "triggered by hand"


def test_a_second_send_of_a_trigger_is_recognised_and_writes_nothing(database):
    register(database, job())
    call = build_extra(database, job(), T0 + 7)
    database.call(call)
    with nothing_written(database):
        assert database.call(call) == Reply("CLAIMED", [b"pending"])


def test_of_two_triggers_in_the_same_millisecond_one_is_told_to_take_another_second(database):
    register(database, job())
    extra(database, job(), T0 + 7)
    with nothing_written(database):
        assert extra(database, job(), T0 + 7) == Reply("TAKEN", [])


def test_a_trigger_at_a_due_instant_and_the_schedule_share_one_occurrence(database):
    register(database, job())
    extra(database, job(), ONE)
    before = records(database)
    assert claim(database, job(), decision(ONE)) == Reply("TAKEN", [])
    assert records(database) == before | {
        f"job:{ID}": before[f"job:{ID}"] | {"cursor": str(ONE)},
        f"versions:{ID}": before[f"versions:{ID}"],
        "due": {ID: TWO * 1000},
    }


def test_jitter_holds_the_first_runs_back_and_leaves_the_identity_alone(database):
    definition = job(task("a"), task("b", "a"), schedule=Cron("* * * * *", jitter=30))
    register(database, definition)
    assert claim(database, definition, decision(ONE)) == Reply("CLAIMED", [b"pending"])
    state, a, b = records(database), run(ONE, "a"), run(ONE, "b")
    due_at = int(state[f"run:{a}"]["due_at"])
    assert ONE * 1000 < due_at < (ONE + 30) * 1000
    assert state["delayed"] == {f"default:5:{a}": due_at}
    assert state[f"run:{a}"] == {
        "state": "scheduled",
        "handler": "report.a",
        "place": "default:5",
        "enqueued_at": str(ONE * 1000),
        "occurrence": occurrence(ONE),
        "due_at": str(due_at),
        "message": texts(definition, ONE)["a"],
        "attempt": "0",
        "crashes": "0",
    }
    assert state[f"run:{b}"]["waits"] == "1"
    assert "streams" not in state


def replacing(database):
    definition = job(overlap=Overlap.REPLACE)
    register(database, definition)
    claim(database, definition, decision(ONE))
    return definition


def test_overlap_replace_waits_for_the_earlier_one_and_leaves_its_cancelling_to_tickers_in_the_same_step(database):
    definition = replacing(database)
    assert "chores" not in records(database)
    assert claim(database, definition, decision(TWO)) == Reply("CLAIMED", [b"queued"])
    state = records(database)
    assert state[f"occurrence:{occurrence(TWO)}"]["reason"] == f"fired on time; replaces {occurrence(ONE)}"
    assert state["chores"] == {f"replace:{TWO}:{ID}": TWO * 1000}
    assert state[f"live:{ID}"] == {occurrence(ONE): ONE}
    assert state[f"queued:{ID}"] == {occurrence(TWO): TWO}
    assert len(fetch(database)) == 1


@pytest.mark.parametrize("waits", [[], [TWO]])
def test_an_earlier_instant_does_not_replace_a_later_one(database, waits):
    definition = job(overlap=Overlap.REPLACE)
    register(database, definition)
    for each in (T0 - 1, *waits) if waits else (TWO,):
        extra(database, definition, each)
    assert claim(database, definition, decision(ONE)) == Reply("CLAIMED", [b"skipped"])
    reason = records(database)[f"occurrence:{occurrence(ONE)}"]["reason"]
    assert reason == f"skipped because {occurrence(TWO)}, which was due later, goes first"


def test_fifty_tasks_are_the_most_that_an_occurrence_has(database):
    definition = job(*(task(f"t{n}") for n in range(50)))
    register(database, definition)
    claim(database, definition, decision(ONE))
    assert len(fetch(database, count=100)) == 50
    assert records(database)[f"occurrence:{occurrence(ONE)}"]["open"] == "50"


def compressing(database):
    """The first instant is compressed into one that is still to come."""
    register(database, job())
    claim(database, job(), msgspec.structs.replace(decision(ONE, "compressed"), since=T0))
    assert records(database)[f"job:{ID}"]["since"] == str(T0)


def test_an_instant_that_a_calendar_excludes_does_not_end_compressing(database):
    compressing(database)
    claim(database, job(), decision(TWO, "skipped", "excluded by calendar holidays"))
    assert records(database)[f"job:{ID}"]["since"] == str(T0)


def test_an_instant_by_hand_does_not_end_compressing(database):
    compressing(database)
    extra(database, job(), ONE + 7)
    assert records(database)[f"job:{ID}"]["since"] == str(T0)


@pytest.mark.parametrize("state", ["pending", "missed"])
def test_the_instant_that_runs_or_one_that_was_missed_ends_compressing(database, state):
    compressing(database)
    claim(database, job(), decision(TWO, state))
    assert "since" not in records(database)[f"job:{ID}"]
