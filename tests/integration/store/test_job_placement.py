"""Jobs live where the fewest are: evenly however they come, in one place whoever races, and everybody finds them there."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.control.audit import audit_jobs
from jobistemer.control.backfills import Backfills
from jobistemer.control.deploy import DeployStep, apply_deploy, plan_deploy
from jobistemer.core import ids
from jobistemer.core.errors import UnknownJob
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.placement import bucket_of
from jobistemer.core.schedules import Cron
from jobistemer.store import job_placement
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, settings_key
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.doctor import diagnose
from jobistemer.store.reads.jobs import list_history, list_jobs
from jobistemer.store.server.connection import connect
from tests.support.apps import drain_queues, running_ticker, running_worker
from tests.support.servers import CLUSTER, available, empty_server, folder_of, running, single
from tests.support.shard_state import find_leaks
from tests.support.worker_processes import wait_until

SETTINGS = settings_key("test")


def served(kind, folder):
    with running(kind, folder) as url:
        yield url


@pytest.fixture(scope="module", params=[kind for kind in available() if not kind.startswith(CLUSTER)])
def server(request, tmp_path_factory):
    yield from served(request.param, tmp_path_factory.mktemp(folder_of(request.param)))


@pytest.fixture
def url(server):
    empty_server(server)
    return server


@pytest.fixture(scope="module", params=single())
def real_url(request, tmp_path_factory):
    """A server that is fast, and that counts commands."""
    yield from served(request.param, tmp_path_factory.mktemp(folder_of(request.param)))


def opened(url: str, shards: int = 4) -> Jobistemer:
    """What another process has."""
    return Jobistemer(url, namespace="test", shards=shards)


def job(name: str, expression: str = "0 3 * * *", **changes) -> Job:
    return Job(**{"name": name, "schedule": Cron(expression), "tasks": (Task(name, "work"),), **changes})


def counts(app: Jobistemer) -> list[int]:
    """How many jobs each shard has."""
    return [shard.ask("ZCARD", shard.keys.due) for shard in app.namespace.shards]


def shards_with(app: Jobistemer, name: str) -> list[int]:
    """The shards on which a job is registered."""
    found = [
        shard for shard in app.namespace.shards if shard.ask("ZSCORE", shard.keys.due, ids.job_id(name)) is not None
    ]
    return [shard.keys.shard for shard in found]


def strayed(app: Jobistemer, expression: str = "0 3 * * *") -> str:
    """Register jobs until one of them does not live where its id hashes to; its name."""
    app.task(lambda: None, name="work")
    for number in range(100):
        app.control.register(job(name := f"job_{number}", expression))
        if app.namespace.for_job(ids.job_id(name)) is not app.namespace.for_id(ids.job_id(name)):
            return name
    raise AssertionError("all of them live where their ids hash to")


@pytest.mark.parametrize("shards", [4, 8, 16])
@pytest.mark.parametrize("at_once", [1000, 100], ids=["together", "in ten deploys"])
def test_a_thousand_deployed_jobs_are_spread_evenly(real_url, shards, at_once):
    empty_server(real_url)
    # Given processes that each deploy some, and know of one another only what is on the server
    jobs = [job(f"tenant{number}.nightly") for number in range(1000)]
    for start in range(0, 1000, at_once):
        opened(real_url, shards).control.register_all(jobs[start : start + at_once])

    # Then
    app = opened(real_url, shards)
    assert sum(counts(app)) == 1000
    assert max(counts(app)) / min(counts(app)) <= 1.1
    assert len(list_jobs(app.namespace.shards, limit=2000)) == 1000


def test_jobs_that_are_registered_one_by_one_are_spread_as_evenly(url):
    for number in range(64):
        opened(url, 8).control.register(job(f"job_{number}"))
    assert counts(opened(url, 8)) == [8] * 8


def test_more_jobs_than_a_question_takes_are_spread_as_evenly(url):
    app, jobs = opened(url, 8), [ids.job_id(f"job_{number}") for number in range(job_placement.PAGE * 2 + 500)]
    app.namespace.placement.assign(jobs)
    found = Counter(shard.keys.shard for shard in opened(url, 8).namespace.for_jobs(jobs))
    assert sum(found.values()) == len(jobs)
    assert max(found.values()) / min(found.values()) <= 1.1


def test_two_who_register_a_job_at_once_and_have_counted_differently_agree(url, monkeypatch):
    # Given one who has counted, and stops there
    slow, fast = opened(url), opened(url)
    slow.namespace.connect()
    census = job_placement.JobPlacement._count_jobs

    def interrupted(self, jobs):
        counted = census(self, jobs)
        if self is slow.namespace.placement:
            # While another one registers jobs, so that the emptiest shard is another one, and this very job
            fast.control.register_all([job(f"job_{number}") for number in range(7)])
            fast.control.register(job("both"))
        return counted

    monkeypatch.setattr(job_placement.JobPlacement, "_count_jobs", interrupted)

    # When it goes on, and is told once more as after a time-out
    words = [slow.control.register(job("both")).word for _ in range(2)]

    # Then there is one, and both know where
    assert words == ["UNCHANGED", "UNCHANGED"]
    (home,) = shards_with(slow, "both")
    found = {app.namespace.for_job(ids.job_id("both")).keys.shard for app in (slow, fast, opened(url))}
    assert found == {home}


def test_many_who_deploy_the_same_jobs_at_the_same_time_create_each_once(url):
    jobs = [job(f"job_{number}") for number in range(30)]
    apps = [opened(url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        orders = [jobs[number * 5 :] + jobs[: number * 5] for number in range(6)]
        answers = list(pool.map(lambda app, order: app.control.register_all(order), apps, orders))
    assert Counter(each.word for answer in answers for each in answer) == {"CREATED": 30, "UNCHANGED": 150}
    assert [len(shards_with(apps[0], each.name)) for each in jobs] == [1] * 30


def test_a_job_that_was_removed_comes_back_to_its_history_whoever_registers_it(url):
    # Given a job that somebody has triggered and removed
    app = opened(url)
    name = strayed(app)
    home = app.namespace.for_job(ids.job_id(name))
    app.control.trigger(name)
    app.control.remove(name)
    with pytest.raises(UnknownJob):
        opened(url).control.find(name)
    assert [each.what for each in opened(url).control.log(name)] == ["removed", "triggered", "created"]

    # When others have filled that shard meanwhile, and somebody else registers it
    crowd = [job(f"crowd_{number}") for number in range(40)]
    opened(url).control.register_all(crowd)
    assert opened(url).control.register(job(name)).word == "CREATED"

    # Then it is where it was, as its next version
    assert shards_with(app, name) == [home.keys.shard]
    assert app.control.find(name).version == 2
    assert len(list_history(home, ids.job_id(name))) == 1


def test_what_is_kept_of_homes_has_a_bound_and_stays_when_jobs_go(url):
    app = opened(url)
    jobs = [job(f"job_{number}") for number in range(20)]
    app.control.register_all(jobs)
    for each in jobs:
        app.control.remove(each.name)
    kept = connect(url).hgetall(SETTINGS)
    assert kept.keys() == {b"shards", b"spread", *(f"home:{bucket_of(each.id)}".encode() for each in jobs)}
    assert [find_leaks(shard) for shard in app.namespace.shards] == [{}] * 4
    # The same jobs again need no more
    opened(url).control.register_all(jobs)
    assert connect(url).hgetall(SETTINGS) == kept


def test_everybody_finds_a_job_that_is_not_where_its_id_hashes_to(url):
    # Given such a job, a version later
    app = opened(url)
    name = strayed(app, "0 0 1 1 *")
    other = opened(url)
    home = other.namespace.for_job(ids.job_id(name)).keys.shard
    assert other.control.register(job(name)).word == "CHANGED"

    # When it is paused, resumed, triggered, backfilled and rolled back by another process
    control, now = other.control, datetime.now(UTC).replace(microsecond=0)
    control.pause(name, "for the test")
    assert opened(url).control.is_paused(name)
    control.resume(name)
    occurrence, _ = control.trigger(name)
    past = Backfills(other.namespace, "ana")
    assert past.preview(past.ask(name, now - timedelta(days=2), now)).to_run != []
    assert control.rollback(name, 1).version == 3

    # Then everything is on record in its one place
    assert shards_with(other, name) == [home]
    assert [each.number for each in control.versions(name)] == [1, 2, 3]
    assert control.diff(name, 1, 3).fields == ()
    what = ["changed", "triggered", "resumed", "paused", "changed", "created"]
    assert [each.what for each in control.log(name)] == what
    drain_queues(app)
    assert other.report(occurrence).state == "completed"
    replayed = past.replay(occurrence)
    assert [each.findings for each in audit_jobs(other.namespace, name)] == [()]
    found = list_history(other.namespace.for_job(ids.job_id(name)), ids.job_id(name))
    assert {each.id for each in found} == {occurrence, replayed}


def test_the_command_line_finds_it_too(url):
    app = opened(url)
    name = strayed(app)
    run = CliRunner().invoke

    def told(*command: str) -> object:
        result = run(main, [*command, "--url", url, "--namespace", "test", "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    triggered = told("job", "trigger", name)
    assert told("job", "show", name)["summary"]["name"] == name
    assert [each["id"] for each in told("job", "history", name)["occurrences"]] == [triggered["occurrence"]]
    assert told("audit", name)[0]["findings"] == []
    assert {each["level"] for each in told("doctor")["findings"] if each["check"] in ("homes", "keys")} == {"fine"}
    assert told("job", "remove", name)["removed"]
    assert shards_with(app, name) == []


def test_a_deploy_compares_and_removes_jobs_wherever_they_live(url):
    # Given what an app has deployed
    app, jobs = opened(url), [job(f"job_{number}") for number in range(12)]
    apply_deploy(app.control, plan_deploy(app.namespace, jobs, "shop:app"), jobs)
    assert counts(app) == [3] * 4

    # When its next release has one changed, one more, and three fewer
    other = opened(url)
    jobs = [job("job_0", description="better"), *jobs[1:9], job("new")]
    plan = plan_deploy(other.namespace, jobs, "shop:app")
    apply_deploy(other.control, plan, jobs, remove=True)

    # Then
    assert Counter(each.step for each in plan.jobs) == {
        DeployStep.CHANGE: 1,
        DeployStep.KEEP: 8,
        DeployStep.ADD: 1,
        DeployStep.REMOVE: 3,
    }
    assert {each.name for each in list_jobs(other.namespace.shards)} == {each.name for each in jobs}
    assert find_leaks(other.namespace.shards[0]) == {}


def test_jobs_fire_wherever_they_live_and_nothing_is_unaccounted_for(url):
    app = opened(url)
    strayed(app, "* * * * * *")
    with running_ticker(app), running_worker(app):
        wait_until(lambda: all(each.last for each in list_jobs(app.namespace.shards)), "each job has fired")
    assert {each.findings for each in audit_jobs(app.namespace)} == {()}


def test_a_namespace_from_before_homes_were_kept_goes_on_as_it_was(url):
    # Given a namespace whose first process fixed the number of shards and nothing else
    connect(url).hset(SETTINGS, "shards", 4)
    app, jobs = Jobistemer(url, namespace="test"), [job(f"job_{number}") for number in range(12)]

    # When jobs are registered
    app.control.register_all(jobs)
    app.control.register(job("one_more"))

    # Then they are where their ids hash to, and nothing is remembered
    assert all(shards_with(app, each.name) == [app.namespace.for_id(each.id).keys.shard] for each in jobs)
    assert connect(url).hgetall(SETTINGS) == {b"shards": b"4"}
    assert opened(url).control.find("one_more").version == 1


def test_a_home_that_a_failover_has_lost_is_told_by_doctor_and_found_when_the_job_is_deployed(url):
    # Given a job whose home is forgotten
    app = opened(url)
    name = strayed(app)
    connect(url).hdel(SETTINGS, f"home:{bucket_of(ids.job_id(name))}")

    def told() -> list[str]:
        return [each.value for each in diagnose(opened(url).namespace, 100) if each.check == "homes" and each.remedy]

    (shard,) = shards_with(app, name)
    assert told() == [
        f"{ids.job_id(name)} is on {{test:{shard}}}, where no command looks for it: a failover has lost the record of its shard"
    ]
    with pytest.raises(UnknownJob):
        opened(url).control.find(name)

    # When it is deployed, while other shards are emptier
    assert opened(url).control.register(job(name)).word == "UNCHANGED"

    # Then it is still there, once, and known again
    assert shards_with(opened(url), name) == [shard]
    assert opened(url).control.find(name).version == 1
    assert told() == []


def test_who_has_known_a_home_all_along_repairs_it_as_well(url):
    # Given a process that has registered a job before a failover lost its home
    app = opened(url)
    name = strayed(app)
    connect(url).hdel(SETTINGS, f"home:{bucket_of(ids.job_id(name))}")

    # When that very process deploys it again
    assert app.control.register(job(name)).word == "UNCHANGED"

    # Then others find it
    assert opened(url).control.find(name).version == 1


def test_after_everything_was_flushed_a_process_that_goes_on_founds_the_namespace_anew(url):
    # Given an app that has deployed, and a server that somebody has emptied
    app, jobs = opened(url), [job(f"job_{number}") for number in range(8)]
    app.control.register_all(jobs)
    connect(url).flushall()

    # When the same process deploys again
    app.control.register_all(jobs)

    # Then who comes later, and leaves the number of shards open, finds every job
    other = Jobistemer(url, namespace="test")
    assert [other.control.find(each.name).version for each in jobs] == [1] * 8
    assert counts(other) == [2] * 4


def test_new_jobs_are_registered_while_a_shard_is_away(url):
    # Given a shard that nobody reaches
    app = opened(url)
    shards = app.namespace.shards
    shards[2] = Database(connect("redis://127.0.0.1:1"), Keys("test", 2), shards[2].clock, "away")

    # When jobs are registered of whom none lives there
    app.control.register_all([job(f"job_{number}") for number in range(9)])

    # Then the others have them
    assert counts(opened(url)) == [3, 3, 0, 3]


@pytest.fixture
def spent(real_url):
    """`spent(shards, prepare, act)`: the commands that an act takes on a namespace of so many shards, by name."""
    client = connect(real_url)

    def measured(shards: int, prepare, act) -> Counter[str]:
        client.flushall()
        prepare(opened(real_url, shards))
        app = opened(real_url, shards)
        # The connection and the scripts are there
        app.namespace.shards[0].read_clock()
        client.config_resetstat()
        act(app)
        return Counter(
            {name.removeprefix("cmdstat_"): each["calls"] for name, each in client.info("commandstats").items()}
        )

    return measured


JOBS = [job(f"job_{number}") for number in range(50)]


def deploy_all(app: Jobistemer) -> None:
    app.control.register_all(JOBS)


def test_with_one_shard_nothing_is_asked_and_nothing_is_kept(spent, real_url):
    # The clock, which of them are due, and one script for all of them: nothing else
    commands = spent(1, lambda app: app.control.register(job("first")), deploy_all)
    assert commands["time"] == commands["zmscore"] == commands["evalsha"] == 1
    # The script looks once whether any key of theirs is there, and writes three keys of each job
    assert (commands["exists"], commands["hset"], commands["rpush"], commands["hmget"]) == (1, 100, 50, 0)
    # It looks at the types of two sorted sets, and writes the due marks together
    assert (commands["zcard"], commands["zadd"]) == (2, 1)
    assert "hsetnx" not in commands
    assert connect(real_url).hgetall(SETTINGS) == {b"shards": b"1"}


def test_an_unchanged_deploy_costs_two_commands_for_each_shard_and_one_more(spent):
    many, one = (spent(shards, deploy_all, deploy_all) for shards in (16, 1))
    assert many - one == {"hmget": 1, "time": 15, "zmscore": 15}
    assert one["evalsha"] == 0


def test_a_deployment_that_changes_nothing_reads_each_job_once_for_its_plan_and_once_more_then_and_writes_nothing(
    spent,
):
    def deploy(app: Jobistemer) -> None:
        apply_deploy(app.control, plan_deploy(app.namespace, JOBS, "shop:app"), JOBS)

    commands = spent(1, deploy, deploy)
    assert commands["hmget"] == 2 * len(JOBS)
    # The clock and the members of the due set for either, and nothing for each job
    assert (commands["time"], commands["zmscore"], commands["zrange"]) == (2, 2, 1)
    assert not {"evalsha", "hset", "zadd", "hget"} & set(commands)


def test_new_jobs_are_counted_for_once_in_a_deploy(spent):
    def nothing(_: Jobistemer) -> None: ...

    extra = spent(16, nothing, deploy_all) - spent(1, nothing, deploy_all)
    counted = {name: extra[name] for name in ("hmget", "zcard", "zmscore", "hsetnx")}
    # What is known, what came of it; one question of two parts for each shard, and which are due; one word for each job;
    # and the two looks of a script at each shard but one
    assert counted == {"hmget": 2, "zcard": 16 + 2 * 15, "zmscore": 31, "hsetnx": 50}


def test_a_process_that_was_told_the_number_of_shards_finds_jobs_too(url):
    app = opened(url)
    name = strayed(app)
    beside = Namespace(url, "test")
    beside.adopt(4, app.namespace.clock.now_ms())
    assert beside.for_job(ids.job_id(name)).keys.shard == shards_with(app, name)[0]
