from jobistemer.store.actions import dead_letters
from jobistemer.store.scripts import Reply
from tests.store.runs.test_replay_dead import die
from tests.support.lifecycle import enqueue
from tests.support.shard_state import nothing_written, records


def purge(database, *runs):
    return database.call(dead_letters.purge(database.keys, runs))


def test_a_purged_letter_is_gone_with_what_it_carried(database):
    die(database, "run_1")
    die(database, "run_2")
    before = records(database)
    assert purge(database, "run_1") == Reply("PURGED", [])

    expected = before | {"dead": {"run_2": before["dead"]["run_2"]}}
    del expected["run:run_1"]
    assert records(database) == expected


def test_a_run_that_is_not_dead_is_left_alone(database):
    enqueue(database, "run_1")
    with nothing_written(database):
        assert purge(database, "run_1") == Reply("PURGED", [1])


def test_a_second_send_purges_nothing_more_and_leaves_no_run(database):
    die(database)
    purge(database, "run_1")
    with nothing_written(database):
        assert purge(database, "run_1") == Reply("PURGED", [])


def test_only_those_that_were_dead_letters_are_counted(database):
    die(database, "run_1")
    enqueue(database, "run_2")
    assert dead_letters.purge_page(database, ["run_1", "run_2", "run_3"]) == 1
    assert dead_letters.purge_page(database, ["run_1", "run_2", "run_3"]) == 0


def test_a_letter_whose_record_has_expired_leaves_the_list(database):
    die(database)
    database.client.delete(database.keys.run("run_1"))
    assert purge(database, "run_1") == Reply("PURGED", [])
    assert "dead" not in records(database)


def test_at_most_a_hundred_go_in_one_call(database):
    runs = [f"run_{n}" for n in range(101)]
    for run in runs:
        die(database, run)
    assert purge(database, *runs) == Reply("PURGED", [])
    assert list(records(database)["dead"]) == ["run_100"]
