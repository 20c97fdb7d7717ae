from jobistemer.core.jobs.job import encode_job
from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, claim, decision, job, over_fields, postpone, register, version_fields
from tests.support.shard_state import expiring_keys, find_leaks, nothing_written, records
from tests.support.wakeups import collect_wakeups

NAME = f"job:{job().id}"
DUE = (T0 + MINUTE) * 1000


def text(definition):
    return encode_job(definition).decode()


def test_a_new_job_is_stored_and_due(database):
    assert register(database, job()) == Reply("CREATED", [1])
    assert records(database) == {
        NAME: {
            "version": "1",
            "fingerprint": "f1",
            "definition": text(job()),
            "cursor": str(T0),
        },
        f"versions:{job().id}": version_fields(),
        "due": {job().id: DUE},
    }
    assert find_leaks(database) == {}


def test_a_second_send_of_the_same_call_is_a_no_op(database):
    register(database, job())
    with nothing_written(database):
        assert register(database, job()) == Reply("UNCHANGED", [1])


def test_a_changed_job_becomes_the_next_version_and_the_old_one_is_kept(database):
    register(database, job())
    before = records(database)
    changed = job(max_queued=7)
    assert register(database, changed, "f2", seen=1, cursor=T0 + 2 * MINUTE) == Reply("CHANGED", [2])
    assert records(database) == {
        NAME: before[NAME]
        | {"version": "2", "fingerprint": "f2", "definition": text(changed), "cursor": str(T0 + 2 * MINUTE)},
        f"versions:{job().id}": version_fields()
        | over_fields(job(), until=T0 + 2 * MINUTE)
        | version_fields(2, "f2", T0 + 2 * MINUTE),
        "due": {job().id: (T0 + 3 * MINUTE) * 1000},
    }


def test_a_second_send_of_a_change_is_a_no_op(database):
    register(database, job())
    register(database, job(max_queued=7), "f2", seen=1)
    with nothing_written(database):
        assert register(database, job(max_queued=7), "f2", seen=1) == Reply("UNCHANGED", [2])


def test_who_has_not_seen_the_current_version_is_stale(database):
    register(database, job())
    register(database, job(max_queued=7), "f2", seen=1)
    with nothing_written(database):
        assert register(database, job(max_queued=8), "f3", seen=1) == Reply("STALE", [2])
        assert register(database, job(max_queued=8), "f3", seen=0) == Reply("STALE", [2])


def test_a_caller_who_saw_a_job_that_is_gone_is_stale(database):
    with nothing_written(database):
        assert register(database, job(), seen=1) == Reply("STALE", [0])


def test_what_a_ticker_has_decided_meanwhile_stays_decided(database):
    register(database, job())
    claim(database, job(), decision(T0 + MINUTE))
    with nothing_written(database):
        assert register(database, job(max_queued=7), "f2", seen=1, cursor=T0) == Reply("STALE", [1])
    assert register(database, job(max_queued=7), "f2", seen=1, cursor=T0 + MINUTE) == Reply("CHANGED", [2])


def test_a_pause_outlasts_a_change(database):
    register(database, job())
    database.call(jobs.pause(database.keys, job().id, "paused", 0, NOW))
    register(database, job(max_queued=7), "f2", seen=1)
    assert records(database)[NAME]["paused"] == "paused"


def test_a_job_that_comes_back_goes_on_counting_and_keeps_its_history(database):
    register(database, job())
    register(database, job(max_queued=7), "f2", seen=1)
    claim(database, job(max_queued=7), decision(T0 + MINUTE, "missed"), version=2)
    database.call(jobs.remove(database.keys, jobs.find_job(database, "report"), NOW))
    assert {f"versions:{job().id}", f"history:{job().id}"} < expiring_keys(database)

    assert register(database, job(), "f3", cursor=T0 + MINUTE) == Reply("CREATED", [3])
    assert records(database)[f"versions:{job().id}"] == (
        version_fields()
        | over_fields(job())
        | version_fields(2, "f2")
        | over_fields(job(max_queued=7), 2, T0 + MINUTE)
        | version_fields(3, "f3", T0 + MINUTE)
    )
    assert {f"versions:{job().id}", f"history:{job().id}"} & expiring_keys(database) == set()


def test_tickers_are_woken_for_a_job_that_is_due_soon_although_another_is_due_earlier(database, open_database):
    with collect_wakeups(open_database()) as wakes:
        register(database, job(name="earlier"), cursor=T0 - 2 * MINUTE)
        register(database, job(name="soon"), cursor=T0 - MINUTE)
    assert wakes == ["job", "job"]


def test_tickers_are_woken_only_when_nothing_is_due_earlier(database, open_database):
    with collect_wakeups(open_database()) as wakes:
        register(database, job(name="first"))
        register(database, job(name="later"), cursor=T0 + MINUTE)
        register(database, job(name="sooner"), cursor=T0 - MINUTE)
    assert wakes == ["job", "job"]


def test_an_unchanged_job_takes_the_mark_of_its_owner(database):
    register(database, job())
    before = records(database)
    assert register(database, job(), owner="shop:app") == Reply("UNCHANGED", [1])
    assert records(database) == before | {NAME: before[NAME] | {"owner": "shop:app"}}
    assert register(database, job(max_queued=7), "f2", seen=1) == Reply("CHANGED", [2])
    assert records(database)[NAME]["owner"] == "shop:app"


def test_who_has_not_seen_what_is_pending_is_stale(database):
    register(database, job())
    postpone(database, job(max_queued=7), "f2", NOW + 60_000)
    with nothing_written(database):
        assert register(database, job(max_queued=8), "f3", seen=1) == Reply("STALE", [1])
        assert register(database, job(max_queued=8), "f3", seen=1, pending="f9") == Reply("STALE", [1])


def test_a_new_version_takes_the_place_of_what_was_pending(database):
    register(database, job())
    postpone(database, job(max_queued=7), "f2", NOW + 60_000)
    assert register(database, job(max_queued=8), "f3", seen=1, pending="f2") == Reply("CHANGED", [2])
    state = records(database)
    assert not [field for field in state[NAME] if field.startswith("pending")]
    assert "chores" not in state


def test_an_update_that_is_applied_at_once_leaves_tickers_a_chore(database, open_database):
    register(database, job())
    with collect_wakeups(open_database()) as wakes:
        register(database, job(max_queued=7), "f2", seen=1, cursor=T0 + 60 * MINUTE, retire=True)
    assert records(database)["chores"] == {f"retire:2:{job().id}": NOW}
    assert wakes == ["job"]


def test_versions_that_nothing_refers_to_are_forgotten(database):
    register(database, job())
    register(database, job(max_queued=7), "f2", seen=1)
    register(database, job(max_queued=8), "f3", seen=2, forget=(1,))
    assert records(database)[f"versions:{job().id}"] == (
        version_fields(2, "f2") | over_fields(job(max_queued=7), 2) | version_fields(3, "f3")
    )
