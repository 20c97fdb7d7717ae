"""A deployment of many jobs: what has not changed is read in bundles and not written, whatever its schedule."""

from collections import Counter

import msgspec
import pytest

from jobistemer.control.deploy import DeployStep, apply_deploy, plan_deploy
from jobistemer.control.jobs import JobControl
from jobistemer.core.errors import InvalidDefinition, UnknownJob
from jobistemer.core.jobs.job import Job, Task, Update
from jobistemer.core.planning.diff import MAX_INSTANTS, InstantBudget, diff_fire_times
from jobistemer.core.schedules import Cron, Interval
from jobistemer.store.actions import update_jobs
from jobistemer.store.calls import jobs as calls_of_jobs

OWNER = "shop:app"
MINUTE, DAY, SECOND = Cron("* * * * *"), Cron("0 3 * * *"), Cron("* * * * * *")


def build(count, schedule=MINUTE):
    return [Job(f"job-{number}", schedule, (Task("only", "work"),)) for number in range(count)]


def deploy(app, declared, owner=OWNER):
    plan = plan_deploy(app.namespace, declared, owner)
    return Counter(each.step.value for each in plan.jobs), [
        each.word for each in apply_deploy(app.control, plan, declared)
    ]


def test_of_many_jobs_one_that_changed_is_found_and_the_others_stay(app):
    # Given more jobs than one round trip takes, on an interval that is counted from its first registration as well
    declared = [*build(1_200), Job("often", Interval("PT90S"), (Task("only", "work"),))]
    assert deploy(app, declared) == ({"add": 1_201}, ["CREATED"] * 1_201)

    # When one of them changes
    changed = [*declared[:700], msgspec.structs.replace(declared[700], schedule=DAY), *declared[701:]]

    # Then it alone has another version
    steps, words = deploy(app, changed)
    assert steps == {"keep": 1_200, "change": 1}
    assert (words[700], Counter(words)) == ("CHANGED", {"UNCHANGED": 1_200, "CHANGED": 1})
    assert [app.control.find(name).version for name in ("job-699", "job-700", "often")] == [1, 2, 1]


def test_of_two_definitions_of_one_name_the_last_holds_and_the_other_jobs_go_together(app, monkeypatch):
    monkeypatch.setattr(update_jobs, "BATCH", 2)
    alone, original = [], update_jobs.update_job
    monkeypatch.setattr(
        update_jobs, "update_job", lambda *args, **more: alone.append(args[1].name) or original(*args, **more)
    )
    (first,) = build(1)
    declared = [first, *build(9)[1:], msgspec.structs.replace(first, schedule=DAY), *build(12)[9:]]
    results = app.control.register_all(declared)
    assert [(each.job, each.word, each.version) for each in results] == [
        *((f"job-{number}", "CREATED", 1) for number in range(9)),
        ("job-0", "CHANGED", 2),
        *((f"job-{number}", "CREATED", 1) for number in range(9, 12)),
    ]
    assert (app.control.find("job-0").job.schedule, alone) == (DAY, ["job-0"])


@pytest.mark.parametrize("update", ["graceful", "immediate"])
def test_jobs_that_all_change_under_the_same_schedules_go_together(app, monkeypatch, update):
    # Given jobs that have changed more often than versions are kept, beside the first one, which is on its third
    declared, shard = build(5), app.namespace.shards[0]
    deploy(app, declared)
    for number in range(2, 25):
        others = [msgspec.structs.replace(each, max_queued=number) for each in declared[1:]]
        deploy(app, [msgspec.structs.replace(declared[0], max_queued=min(number, 3)), *others])
    alone, original = [], update_jobs.update_job
    monkeypatch.setattr(
        update_jobs, "update_job", lambda *args, **more: alone.append(args[1].name) or original(*args, **more)
    )

    # When all of them change
    changed = [msgspec.structs.replace(each, max_queued=99, update=Update(update)) for each in declared]
    assert deploy(app, changed)[1] == ["CHANGED"] * 5

    # Then the first one went without a look at its versions, and the others had some of theirs looked at
    assert alone == ["job-1", "job-2", "job-3", "job-4"]
    assert [app.control.find(each.name).version for each in declared] == [4, 25, 25, 25, 25]
    assert [each.number for each in app.control.versions("job-0")] == [1, 2, 3, 4]
    assert shard.ask("ZCARD", shard.keys.chores) == (5 if update == "immediate" else 0)


def test_a_job_whose_schedule_changes_among_others_goes_by_itself(app, monkeypatch):
    declared = build(3)
    deploy(app, declared)
    alone, original = [], update_jobs.update_job
    monkeypatch.setattr(
        update_jobs, "update_job", lambda *args, **more: alone.append(args[1].name) or original(*args, **more)
    )
    window = {"update": Update.WINDOWED, "update_window": Cron("0 4 * * *")}
    changed = [
        msgspec.structs.replace(declared[0], max_queued=7),
        msgspec.structs.replace(declared[1], schedule=DAY),
        msgspec.structs.replace(declared[2], **window),
    ]
    assert deploy(app, changed)[1] == ["CHANGED", "CHANGED", "POSTPONED"]
    assert alone == ["job-1", "job-2"]


def test_a_job_that_another_app_deploys_as_it_is_belongs_to_that_app(app):
    declared = build(3)
    deploy(app, declared)
    deploy(app, declared[:2], owner="other:app")
    assert [app.control.find(each.name).owner for each in declared] == ["other:app", "other:app", OWNER]


def test_a_job_that_was_lost_from_the_due_set_is_brought_back(app):
    declared, shard = build(3), app.namespace.shards[0]
    deploy(app, declared)
    shard.ask("ZREM", shard.keys.due, declared[1].id)
    deploy(app, declared)
    assert shard.ask("ZSCORE", shard.keys.due, declared[1].id) is not None
    assert app.control.find("job-1").version == 1


def test_a_removal_leaves_what_has_gone_and_what_another_app_has_declared_since_the_plan(app):
    declared = build(4)
    deploy(app, declared)
    plan = plan_deploy(app.namespace, declared[:1], OWNER)
    app.control.remove("job-1")
    deploy(app, declared[2:3], owner="other:app")
    done = apply_deploy(app.control, plan, declared[:1], remove=True)
    assert [(each.job, each.word) for each in done] == [("job-0", "UNCHANGED"), ("job-3", "REMOVED")]
    assert app.control.find("job-2").owner == "other:app"


def test_a_job_that_another_process_removes_at_the_same_time_is_gone_for_both(app, monkeypatch):
    declared, other = build(3), JobControl(app.namespace, by="somebody else")
    deploy(app, declared)
    plan, original = plan_deploy(app.namespace, declared[:1], OWNER), calls_of_jobs.remove

    def remove(keys, stored, *more):
        monkeypatch.setattr(calls_of_jobs, "remove", original)
        other.remove(stored.job.name)
        return original(keys, stored, *more)

    monkeypatch.setattr(calls_of_jobs, "remove", remove)
    done = apply_deploy(app.control, plan, declared[:1], remove=True)
    assert [(each.job, each.word) for each in done] == [("job-0", "UNCHANGED"), ("job-2", "REMOVED")]


def test_the_fire_times_of_a_change_that_is_postponed_are_compared_from_then_on(app):
    (declared,) = build(1, schedule=DAY)
    deploy(app, [declared])
    window = {"update": Update.WINDOWED, "update_window": Cron("30 4 1 1 *")}
    changed = msgspec.structs.replace(declared, schedule=Cron("0 5 * * *"), **window)
    for step in (DeployStep.CHANGE, DeployStep.WAIT):
        (planned,) = plan_deploy(app.namespace, [changed], OWNER).jobs
        assert (planned.step, planned.difference.fires.start) == (step, planned.apply_at // 1000)
        assert planned.difference.fires.first_to_appear[0] == planned.apply_at // 1000 + 1800
        deploy(app, [changed])


def test_the_plan_of_many_changed_jobs_reads_their_versions_a_hundred_in_a_round_trip(app, monkeypatch):
    declared, shard = build(250), app.namespace.shards[0]
    first = [msgspec.structs.replace(each, max_queued=number % 50 + 1) for number, each in enumerate(declared)]
    deploy(app, first)
    deploy(app, declared)
    trips, original = [], shard.read_all
    monkeypatch.setattr(shard, "read_all", lambda commands: trips.append(len(commands)) or original(commands))
    changed = [*first[:249], msgspec.structs.replace(declared[249], max_queued=999)]
    plan = plan_deploy(app.namespace, changed, OWNER, keep_newer=True)
    assert [each.restored for each in plan.jobs] == [1] * 249 + [0]
    assert Counter(each.step for each in plan.jobs) == {DeployStep.LEAVE: 249, DeployStep.CHANGE: 1}
    assert [each for each in trips if each > 1][-3:] == [200, 200, 100]
    assert len(trips) < 10


def test_a_plan_knows_that_nothing_has_to_be_written(app):
    declared, shard = build(3), app.namespace.shards[0]
    assert not plan_deploy(app.namespace, declared, OWNER).is_applied
    deploy(app, declared)
    plan = plan_deploy(app.namespace, declared, OWNER)
    assert plan.is_applied
    assert plan.list_unchanged() == apply_deploy(app.control, plan, declared)
    # Another app, a job that is gone from the app, and one without a due mark
    assert not plan_deploy(app.namespace, declared, "other:app").is_applied
    assert not plan_deploy(app.namespace, declared[:2], OWNER).is_applied
    shard.ask("ZREM", shard.keys.due, declared[1].id)
    assert not plan_deploy(app.namespace, declared, OWNER).is_applied


def test_a_plan_of_unchanged_jobs_decodes_no_definition(app, monkeypatch):
    declared = build(3)
    deploy(app, declared)
    monkeypatch.setattr(calls_of_jobs, "decode_job", pytest.fail)
    assert [each.step for each in plan_deploy(app.namespace, declared, OWNER).jobs] == [DeployStep.KEEP] * 3


def test_of_many_definitions_one_that_cannot_be_written_leaves_all_of_them_unwritten(app):
    declared = build(3)
    deploy(app, declared[:1])
    bad = msgspec.structs.replace(declared[2], description="x" * 3_000)
    with pytest.raises(InvalidDefinition, match="description"):
        app.control.register_all([declared[0], declared[1], bad], owner=OWNER)
    with pytest.raises(UnknownJob):
        app.control.find("job-1")


def test_a_job_whose_record_is_broken_is_replaced_and_named_in_the_plan(app):
    declared, shard = build(4), app.namespace.shards[0]
    deploy(app, declared)
    shard.ask("HSET", shard.keys.job(declared[1].id), "definition", b"{")
    shard.ask("DEL", shard.keys.job(declared[2].id))
    shard.ask("SET", shard.keys.job(declared[2].id), "odd")
    plan = plan_deploy(app.namespace, declared, OWNER)
    assert [(each.job, bool(each.unreadable)) for each in plan.with_step(DeployStep.ADD)] == [
        ("job-1", True),
        ("job-2", True),
    ]
    apply_deploy(app.control, plan, declared)
    assert [app.control.find(each.name).job for each in declared] == declared


def test_fire_times_are_compared_within_a_budget_for_the_whole_plan(app):
    budget, start = InstantBudget(), 1_800_000_000
    first, second, third = (diff_fire_times(None, job, start, budget) for job in build(3, SECOND))
    assert (first.appear, first.until) == (MAX_INSTANTS, start + MAX_INSTANTS)
    assert second.appear == MAX_INSTANTS
    assert (third.appear, third.until) == (0, start)
    # And of a whole plan
    plan = plan_deploy(app.namespace, build(5, SECOND), OWNER)
    assert [each.difference.fires.appear for each in plan.jobs] == [MAX_INSTANTS, MAX_INSTANTS, 0, 0, 0]


def test_under_the_same_schedule_no_fire_time_is_compared():
    old, new = build(1, SECOND)[0], msgspec.structs.replace(build(1, SECOND)[0], max_queued=7)
    budget = InstantBudget(0)
    found = diff_fire_times(old, new, 1_800_000_000, budget)
    assert (found.appear, found.vanish, found.until - found.start) == (0, 0, 30 * 86_400)
