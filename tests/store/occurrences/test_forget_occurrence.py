from jobistemer.core import ids
from jobistemer.store.scripts import Reply, script
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch_one, finish, job, register
from tests.support.shard_state import nothing_written, records

ID = job().id
ONE = T0 + MINUTE
OCC = ids.occurrence_id(ID, ONE)
RUN = ids.run_id(OCC, ids.task_id(ID, "only"))
ATTEMPT = ids.attempt_id(RUN, 0)


def forget(database, *, left=0):
    keys = database.keys
    touched = (keys.occurrence(OCC), keys.history(ID), keys.attempt(ATTEMPT), keys.run(RUN))
    return database.call(script("forget_occurrence")(touched, (OCC, left)))


def ran(database):
    register(database, job())
    claim(database, job(), decision(ONE))
    finish(database, build_ended(fetch_one(database)), job())


def test_an_occurrence_goes_with_its_runs_and_attempts(database):
    register(database, job())
    before = records(database)
    ran(database)
    assert forget(database) == Reply("FORGOTTEN", [])
    left = {key for key in records(database) if key not in before}
    assert left == {"streams", "stream:default:5"}


def test_it_stays_in_the_history_as_long_as_records_are_left(database):
    ran(database)
    assert forget(database, left=3) == Reply("PARTLY", [])
    state = records(database)
    assert f"run:{RUN}" not in state
    assert state[f"history:{ID}"] == {OCC: ONE}
    assert f"occurrence:{OCC}" in state


def test_a_second_send_of_the_same_call_changes_nothing(database):
    ran(database)
    forget(database)
    with nothing_written(database):
        assert forget(database) == Reply("FORGOTTEN", [])


def test_one_that_has_not_ended_stays(database):
    register(database, job())
    claim(database, job(), decision(ONE))
    with nothing_written(database):
        assert forget(database) == Reply("LIVE", [])
