from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.core.planning.plan import build_runs
from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.calls.occurrences import FireRequest
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch_one, finish, job, register, task
from tests.support.shard_state import Stream, find_leaks, nothing_written, records

ID = job().id
LONG_AGO = T0 - 60 * MINUTE
OCCURRENCE = ids.occurrence_id(ID, LONG_AGO)


def fire(database, definition, repeated="", version=1, instant=LONG_AGO):
    asked = FireRequest(instant, "backfilled by ana", "backfill bf_1", repeated)
    return database.call(occurrences.fire(database.keys, definition, version, asked, NOW))


def test_an_instant_of_the_past_is_fired_and_the_cursor_stays(database):
    definition = job(task("load", queue="etl"), task("report", "load"))
    register(database, definition)
    before = records(database)
    assert fire(database, definition) == Reply("FIRED", [])

    texts = {each.name: encode_message(text).decode() for each, text in build_runs(definition, 1, LONG_AGO, NOW)}
    load, report = (ids.run_id(OCCURRENCE, ids.task_id(ID, name)) for name in ("load", "report"))
    common = {"state": "pending", "enqueued_at": str(NOW), "occurrence": OCCURRENCE}
    entry = records(database)[f"run:{load}"]["entry"]
    assert records(database) == before | {
        f"occurrence:{OCCURRENCE}": {
            "job": ID,
            "version": "1",
            "due": str(LONG_AGO),
            "state": "pending",
            "reason": "backfilled by ana",
            "claimed_at": str(NOW),
            "origin": "backfill bf_1",
            "open": "2",
        },
        f"history:{ID}": {OCCURRENCE: T0},
        f"live:{ID}": {OCCURRENCE: LONG_AGO},
        f"run:{load}": common | {"handler": "report.load", "place": "etl:5", "entry": entry},
        f"run:{report}": common
        | {"handler": "report.report", "place": "default:5", "waits": "1", "message": texts["report"]},
        "stream:etl:5": Stream({entry: {"m": texts["load"], "n": "0", "c": "0"}}, {}),
        "streams": {"etl:5"},
    }


def test_a_second_send_finds_it_on_record(database):
    register(database, job())
    fire(database, job())
    with nothing_written(database):
        assert fire(database, job()) == Reply("TAKEN", [])


def test_what_the_clock_has_fired_is_not_fired_again(database):
    register(database, job())
    claim(database, job(), decision(T0 + MINUTE))
    with nothing_written(database):
        assert fire(database, job(), instant=T0 + MINUTE) == Reply("TAKEN", [])


def test_the_clock_does_not_fire_what_was_fired_by_hand(database):
    register(database, job())
    fire(database, job(), instant=T0 + MINUTE)
    assert claim(database, job(), decision(T0 + MINUTE)) == Reply("TAKEN", [])
    assert records(database)[f"job:{ID}"]["cursor"] == str(T0 + MINUTE)


def test_a_job_that_allows_no_two_at_once_makes_it_wait(database):
    definition = job(overlap=Overlap.QUEUE)
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    busy = ids.occurrence_id(ID, T0 + MINUTE).encode()
    with nothing_written(database):
        assert fire(database, definition) == Reply("BUSY", [busy])
    finish(database, build_ended(fetch_one(database)), definition)
    assert fire(database, definition).word == "FIRED"


def test_a_job_that_allows_overlaps_lets_it_run_beside_others(database):
    definition = job(overlap=Overlap.ALLOW)
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    assert fire(database, definition).word == "FIRED"


def test_a_repetition_is_a_record_of_its_own(database):
    definition = job(overlap=Overlap.ALLOW)
    register(database, definition)
    fire(database, definition)
    before = records(database)
    again = ids.repeated_id(ID, LONG_AGO, "bf_1")
    assert fire(database, definition, again).word == "FIRED"
    state = records(database)
    assert state[f"occurrence:{OCCURRENCE}"] == before[f"occurrence:{OCCURRENCE}"]
    assert state[f"occurrence:{again}"]["due"] == str(LONG_AGO)
    assert state[f"live:{ID}"] == {OCCURRENCE: LONG_AGO, again: LONG_AGO}


def test_its_end_leaves_nothing_behind(database):
    register(database, job())
    again = ids.repeated_id(ID, LONG_AGO, "bf_1")
    fire(database, job(), again)
    finish(database, build_ended(fetch_one(database)), job())
    assert records(database)[f"occurrence:{again}"]["state"] == "completed"
    assert find_leaks(database) == {}


def test_another_version_is_stale_and_so_is_a_job_that_is_gone(database):
    register(database, job())
    with nothing_written(database):
        assert fire(database, job(), version=2) == Reply("STALE", [1])
    database.call(jobs.remove(database.keys, jobs.find_job(database, "report"), NOW))
    with nothing_written(database):
        assert fire(database, job()) == Reply("STALE", [0])


def test_its_time_is_limited_like_that_of_any_other(database):
    definition = job(occurrence_timeout_s=60)
    register(database, definition)
    fire(database, definition)
    state = records(database)
    assert state["deadlines"] == {OCCURRENCE: NOW + 60_000}
    assert state[f"occurrence:{OCCURRENCE}"]["deadline"] == str(NOW + 60_000)
