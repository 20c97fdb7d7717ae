from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply, script
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch_one, finish, job, register
from tests.support.shard_state import audits, nothing_written, records

JOB = job()
NAME = f"job:{JOB.id}"


def deliver(database):
    register(database, JOB)
    claim(database, JOB, decision(T0 + MINUTE))
    return fetch_one(database)


def end(database, delivery, **outcome):
    return finish(database, build_ended(delivery, **{"done": "all imported", **outcome}), JOB)


def test_a_run_that_says_so_ends_the_schedule_of_its_job_on_record(database):
    delivery = deliver(database)
    before = records(database)[NAME]
    assert end(database, delivery).word == "DONE"
    task = delivery.message.handler
    marks = {"paused": f"ended by its task {task}: all imported", "paused_until": "0", "paused_at": str(NOW + 1000)}
    assert records(database)[NAME] == before | marks
    assert records(database)[f"run:{delivery.message.run}"]["state"] == "succeeded"
    said = audits(database)[f"audit:{JOB.id}"][-1]
    assert said == {
        "at": str(NOW + 1000),
        "by": task,
        "what": "ended",
        "note": f"all imported ({delivery.message.run})",
    }


def test_a_second_send_ends_nothing_again(database):
    delivery = deliver(database)
    end(database, delivery)
    with nothing_written(database):
        end(database, delivery)


def test_what_a_person_has_resumed_a_zombie_does_not_end(database):
    delivery = deliver(database)
    finish(database, build_ended(delivery), JOB)
    with nothing_written(database):
        zombie = build_ended(delivery, worker="zombie", done="old news")._replace(ended_at=NOW + 9)
        reply = finish(database, zombie, JOB)
    assert reply.word == "STALE"


def test_resuming_takes_it_back(database):
    delivery = deliver(database)
    before = records(database)[NAME]
    end(database, delivery)
    database.call(jobs.resume(database.keys, JOB.id, NOW + 2000, "ana"))
    assert records(database)[NAME] == before | {"resumed_at": str(NOW + 2000)}


def test_of_a_job_that_is_gone_only_the_mark_goes(database):
    run = database.keys.run("run_1")
    database.client.hset(run, mapping={"state": "succeeded", "ends_schedule": 1})
    keys = (run, database.keys.job(JOB.id), database.keys.audit(JOB.id))
    args = ("ended", NOW, "tick", "note")
    assert database.call(script("end_schedule")(keys, args)) == Reply("UNKNOWN", [])
    assert records(database) == {"run:run_1": {"state": "succeeded"}}
    assert database.call(script("end_schedule")(keys, args)) == Reply("BEFORE", [])
