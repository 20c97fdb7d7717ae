from tests.support.fragments import execute
from tests.support.shard_state import ended, records


def list_ended(database, *runs, state="succeeded"):
    execute(database, "list_ended", "list_ended(KEYS[1], ARGV)", [database.keys.ended(state)], runs)


def test_the_runs_that_ended_last_stand_first(database):
    list_ended(database, "run_1")
    list_ended(database, "run_2", "run_3")
    assert ended(database) == {"succeeded": ["run_3", "run_2", "run_1"]}


def test_no_runs_make_no_list(database):
    list_ended(database)
    assert ended(database) == {}


def test_the_latest_thousand_are_kept_and_the_list_is_cut_when_it_has_a_hundred_more(database):
    key = database.keys.ended("succeeded")
    database.client.rpush(key, *range(1_099))
    list_ended(database, "run_1")
    assert len(ended(database)["succeeded"]) == 1_100
    list_ended(database, "run_2")
    kept = ended(database)["succeeded"]
    assert (len(kept), kept[0], kept[1]) == (1_000, "run_2", "run_1")


def test_a_key_of_the_wrong_type_keeps_no_run_from_its_end(database):
    database.client.set(database.keys.ended("succeeded"), "nonsense")
    list_ended(database, "run_1")
    assert records(database) == {}
