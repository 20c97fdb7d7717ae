from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, claim, decision, job, register, register_together
from tests.support.shard_state import find_leaks, nothing_written, records
from tests.support.wakeups import collect_wakeups

FIRST, SECOND, THIRD = (job(name=name) for name in ("first", "second", "third"))


def test_each_is_what_a_registration_of_its_own_writes(database):
    expected = job(name="expected", expect_within_s=600, alert="note")
    for each in (FIRST, expected):
        register(database, each, cursor=T0, by="alice", owner="shop:app")
    alone = (
        records(database),
        [database.ask("LRANGE", database.keys.audit(each.id), 0, -1) for each in (FIRST, expected)],
    )
    database.client.flushall()
    assert register_together(database, FIRST, expected, owner="shop:app") == Reply("CREATED", [[]])
    together = (
        records(database),
        [database.ask("LRANGE", database.keys.audit(each.id), 0, -1) for each in (FIRST, expected)],
    )
    assert together == alone
    assert together[0]["expected"] == {expected.id: NOW + 600_000}
    assert find_leaks(database) == {}


def test_without_an_app_none_is_named(database):
    register_together(database, FIRST)
    assert "owner" not in records(database)[f"job:{FIRST.id}"]


def test_a_second_send_of_the_same_call_writes_nothing(database):
    register_together(database, FIRST, SECOND)
    with nothing_written(database):
        assert register_together(database, FIRST, SECOND) == Reply("CREATED", [[1, 2]])


def test_a_job_that_another_caller_has_registered_meanwhile_stays_and_the_others_are_created(database):
    register(database, SECOND, "other", cursor=T0 - MINUTE)
    before = records(database)
    assert register_together(database, FIRST, SECOND, THIRD) == Reply("CREATED", [[2]])
    after = records(database)
    assert {name: after[name] for name in before if name != "due"} == {
        name: before[name] for name in before if name != "due"
    }
    assert after["due"] == before["due"] | dict.fromkeys((FIRST.id, THIRD.id), NOW + MINUTE * 1000)


def test_of_a_job_that_stands_twice_in_a_call_the_second_is_left(database):
    assert register_together(database, FIRST, FIRST, marks=("f1", "f2")) == Reply("CREATED", [[2]])
    assert records(database)[f"job:{FIRST.id}"]["fingerprint"] == "f1"
    assert database.ask("LLEN", database.keys.audit(FIRST.id)) == 1


def test_a_job_that_was_removed_is_left_with_its_history_and_versions(database):
    register(database, FIRST)
    claim(database, FIRST, decision(T0 + MINUTE, "missed"))
    database.call(jobs.remove(database.keys, jobs.find_job(database, "first"), NOW))
    with nothing_written(database):
        assert register_together(database, FIRST) == Reply("CREATED", [[1]])


def test_a_key_of_another_type_that_only_one_job_has_leaves_that_job(database):
    database.client.set(database.keys.versions(SECOND.id), "odd")
    assert register_together(database, FIRST, SECOND) == Reply("CREATED", [[2]])
    assert f"job:{SECOND.id}" not in records(database)


def test_tickers_are_woken_once_for_jobs_of_which_one_is_due_first(database, open_database):
    with collect_wakeups(open_database()) as wakes:
        register_together(database, FIRST, SECOND)
        register_together(database, THIRD, due=T0 + 2 * MINUTE)
    assert wakes == ["job"]


def test_tickers_are_woken_for_a_job_that_is_due_soon_although_another_is_due_earlier(database, open_database):
    with collect_wakeups(open_database()) as wakes:
        register(database, FIRST, cursor=T0 - 2 * MINUTE)
        register_together(database, SECOND, due=T0 + 4)
    assert wakes == ["job", "job"]


def test_tickers_are_woken_for_a_job_that_has_to_complete_soon(database, open_database):
    register(database, FIRST, cursor=T0 - 2 * MINUTE)
    with collect_wakeups(open_database()) as wakes:
        register_together(database, job(name="second", expect_within_s=4, alert="note"), due=T0 + MINUTE)
    assert wakes == ["job"]


def test_at_most_a_hundred_are_created_in_one_call(database):
    assert register_together(database, *(job(name=f"job-{n}") for n in range(101))) == Reply("CREATED", [[]])
    assert f"job:{job(name='job-99').id}" in records(database)
    assert f"job:{job(name='job-100').id}" not in records(database)
