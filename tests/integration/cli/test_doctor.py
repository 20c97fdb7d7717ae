"""`jobistemer doctor` on real servers: each thing that can be wrong is provoked, and named with what to do."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.core.settings import TickerSettings
from jobistemer.store.acl import build_rule
from jobistemer.store.clock import ServerClock
from jobistemer.store.server.connection import connect
from jobistemer.ticker.shard_ticker import ShardTicker
from tests.chaos.sentinels import SentinelDeployment
from tests.chaos.system import wait_until
from tests.support.roles import create_user
from tests.support.servers import running, single
from tests.support.step_system import StepWorker

PREFIX = "{test:0}:"


@pytest.fixture(scope="module", params=single())
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    with running(request.param, folder, "--appendonly", "yes", "--maxmemory-policy", "noeviction") as url:
        yield url


@pytest.fixture
def client(server):
    opened = connect(server)
    opened.flushall()
    yield opened
    opened.config_set("maxmemory-policy", "noeviction")
    opened.config_set("appendonly", "yes")
    opened.config_set("maxmemory", 0)
    opened.close()


@pytest.fixture
def app(server, client):
    app = Jobistemer(server, namespace="test")

    @app.task
    def work() -> None: ...

    return app


def doctor(url: str, *options: str, code: int = 0) -> list[dict[str, str]]:
    """What it finds that is not fine."""
    result = CliRunner().invoke(main, ["doctor", "--url", url, "--namespace", "test", "--json", *options])
    assert result.exit_code == code, result.output
    return [finding for finding in json.loads(result.stdout)["findings"] if finding["level"] != "fine"]


def only(found: list[dict[str, str]]) -> tuple[str, str, str, str]:
    (one,) = found
    return one["check"], one["level"], one["value"], one["remedy"]


def test_nothing_is_wrong_with_a_fit_server_at_rest(server, client):
    assert doctor(server) == []


def test_eviction_is_a_fault(server, client):
    client.config_set("maxmemory-policy", "allkeys-lru")
    check, level, value, remedy = only(doctor(server, code=1))
    assert (check, level, value) == ("eviction", "fault", "allkeys-lru")
    assert "CONFIG SET maxmemory-policy noeviction" in remedy


def test_no_persistence_is_a_warning_which_only_strict_fails_for(server, client):
    client.config_set("appendonly", "no")
    check, level, value, remedy = only(doctor(server))
    assert (check, level, value) == ("persistence", "warning", "appendonly no")
    assert "CONFIG SET appendonly yes" in remedy
    assert doctor(server, "--strict", code=1)


def test_a_full_server_is_a_fault(server, client, app):
    app.namespace.connect()
    client.config_set("maxmemory", client.info("memory")["used_memory"])
    check, level, value, remedy = only(doctor(server, code=1))
    assert (check, level) == ("memory", "fault")
    assert "MiB of" in value
    assert "raise maxmemory" in remedy


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"state": "succeeded"}, "it is succeeded, and has no expiry"),
        (
            {"state": "pending", "entry": "5-1", "place": "default:5"},
            "it is pending, but not on the stream of default:5",
        ),
        ({"state": "pending", "occurrence": "occ_1"}, "its occurrence is gone, and it has no expiry"),
    ],
)
def test_a_run_that_nobody_will_ever_end_or_remove_is_named(server, client, fields, why):
    client.hset(f"{PREFIX}run:run_1", mapping=fields)
    check, level, value, remedy = only(doctor(server, code=1))
    assert (check, level, value) == ("keys", "fault", f"{PREFIX}run:run_1: {why}")
    assert "DEL removes it" in remedy


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("history:job_1", "its job is gone"),
        ("versions:job_1", "its job is gone"),
        ("occurrence:occ_1", "it has no state or no job"),
        ("worker:bob", "no such worker is listed"),
        ("stream:lonely:5", "no worker knows of it: queue lonely is not listed"),
        ("unique:order-7", "held for ever"),
    ],
)
def test_an_orphaned_key_is_named_with_why_it_is_one(server, client, key, why):
    client.set(PREFIX + key, "x") if key.startswith("unique") else client.hset(PREFIX + key, "x", "y")
    _, level, value, _ = only(doctor(server, code=1))
    assert level == "fault"
    assert value.startswith(f"{PREFIX}{key}: ")
    assert why in value
    assert doctor(server, "--keys", "0") == []


@pytest.mark.parametrize("key", ["cache:x", "cache", "", "runs:run_1"])
def test_a_key_of_another_program_is_a_warning_that_says_so_and_asks_nobody_to_report_it(server, client, key):
    client.set(PREFIX + key, "x")
    check, level, value, remedy = only(doctor(server, code=0))
    assert (check, level) == ("keys", "warning")
    assert value.startswith(f"{PREFIX}{key}: another program, or a newer release, has written this key")
    assert f"TYPE '{PREFIX}{key}'" in remedy
    assert "report" not in remedy
    client.expire(PREFIX + key, 60)
    assert doctor(server) == []


def test_an_occurrence_that_is_not_listed_for_its_job_is_named(server, client):
    client.hset(f"{PREFIX}occurrence:occ_1", mapping={"state": "running", "job": "job_1"})
    assert only(doctor(server, code=1))[2].endswith("it is running, but not listed as such for its job")


def test_what_goes_on_is_no_orphan(server, client, app):
    @app.job("* * * * * *", overlap="queue")
    def often() -> None: ...

    app.deploy()
    for options in ({}, {"delay": 60}, {"unique": "once"}):
        app.enqueue("work", {}, **options)
    database = app.namespace.shards[0]
    ShardTicker(database, TickerSettings(), "ticker").tick()
    worker = StepWorker(database, app)
    worker.beat()
    worker.fetch()
    assert doctor(server) == []
    worker.execute()
    worker.commit()
    assert doctor(server) == []


def test_a_stuck_entry_is_named_with_who_has_it(server, client, app):
    app.enqueue("work", {})
    database = app.namespace.shards[0]
    worker = StepWorker(database, app, "bob")
    worker.fetch()
    check, level, value, remedy = only(doctor(server, code=1))
    assert (check, level) == ("entries", "fault")
    assert "of queue default is with worker bob, which has been silent for more than a minute" in value
    assert "any living worker takes it over" in remedy
    worker.beat()
    assert doctor(server) == []


def test_work_that_nobody_serves_is_a_warning(server, client, app):
    app.enqueue("work", {}, queue="mail")
    check, level, value, remedy = only(doctor(server))
    assert (check, level, value) == ("workers", "warning", "1 runs wait in mail")
    assert "`jobistemer-worker -Q mail`" in remedy


def test_what_is_overdue_is_a_fault_and_names_the_missing_ticker(server, client):
    client.zadd(f"{PREFIX}due", {"job_1": 1})
    client.zadd(f"{PREFIX}delayed", {"default:5:run_1": 1})
    found = doctor(server, code=1)
    assert {each["value"] for each in found} == {
        "job_1 has been due for more than a minute",
        "delayed run default:5:run_1 has been due for more than a minute",
    }
    assert {each["remedy"] for each in found} == {"no ticker runs: start `jobistemer-ticker`"}


@pytest.mark.parametrize("kind", single())
def test_slots_that_nobody_serves_are_a_fault(kind, tmp_path):
    whole = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    with running(kind, tmp_path, "--appendonly", "yes", *whole) as url:
        client = connect(url)
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16_383))
        wait_until("the node serves its slots", lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        check, level, value, remedy = only(doctor(url, code=1))
        assert (check, level, value) == ("cluster", "fault", "ok, 16383 of 16384 slots are served")
        assert "`redis-cli --cluster check`" in remedy
        client.execute_command("CLUSTER", "ADDSLOTS", 16_383)
        assert doctor(url) == []
        client.close()


def test_a_clock_that_is_off_is_a_warning(server, client, monkeypatch):
    # An hour behind, as this machine's own clock would be.
    monkeypatch.setattr(ServerClock.__init__, "__defaults__", (time.monotonic, lambda: time.time() - 3600))
    check, level, value, remedy = only(doctor(server))
    assert (check, level) == ("clock", "warning")
    assert value.startswith(("3600", "3599"))
    assert "same time source" in remedy


def test_an_operator_may_run_it_and_who_may_not_is_told(server, client):
    assert doctor(create_user(client, server, "test", "operator")) == []
    refused = CliRunner().invoke(
        main, ["doctor", "--url", create_user(client, server, "test", "viewer"), "--namespace", "test"]
    )
    assert refused.exit_code == 1
    assert "lacks a permission" in refused.stdout
    assert "s3cret" not in refused.output


def test_the_rules_of_the_roles_are_printed(server, client):
    result = CliRunner().invoke(main, ["doctor", "--url", server, "--namespace", "test", "--acl", "--json"])
    rules = json.loads(result.stdout)["acl"]
    assert set(rules) == {"producer", "ticker", "worker", "operator", "viewer"}
    for role, text in rules.items():
        client.execute_command("ACL", "SETUSER", role, "reset", "on", ">x", *text.split())


def test_a_replica_and_replicas_that_nobody_counts_are_named(tmp_path):
    deployment = SentinelDeployment(tmp_path)
    try:
        deployment.start()
        found = {each["check"]: (each["level"], each["remedy"]) for each in doctor(deployment.url)}
        assert found["replicas"][0] == "warning"
        assert "min-replicas-to-write 1" in found["replicas"][1]
        wait_until("the replica has the settings of the namespace", deployment.caught_up)
        found = {each["check"]: (each["level"], each["value"]) for each in doctor(deployment.replica_url(), code=1)}
        assert found["role"] == ("fault", "replica")
    finally:
        deployment.kill()


def test_with_the_rights_of_an_operator_it_finds_what_it_finds_with_all_rights(server, client, app):
    app.enqueue("work")
    StepWorker(app.namespace.shards[0], app, "gone").fetch()
    client.delete(f"{PREFIX}workers", f"{PREFIX}worker:gone")
    client.set(f"{PREFIX}app:stock", 5)
    operator = create_user(client, server, "test", "operator")
    everything = doctor(server, code=1)
    assert [each["check"] for each in everything] == ["entries"]
    assert doctor(operator, code=1) == everything


def test_what_a_user_may_not_look_at_is_a_finding_and_the_rest_is_checked(server, client, app):
    app.enqueue("work")
    operator = create_user(client, server, "test", "operator")
    # What one selector allows cannot be taken back by another word: the rule is given anew without it.
    rule = [word.replace(" +xinfo|consumers", "") for word in build_rule(["operator"], "test")]
    client.execute_command("ACL", "SETUSER", "operator", "clearselectors", *rule)
    found = doctor(operator, code=1)
    assert ("entries", True) in [(each["check"], "cannot be looked at" in each["value"]) for each in found]
    assert "jobistemer acl operator" in next(each["remedy"] for each in found if each["check"] == "entries")


def test_tasks_that_came_near_their_time_out_are_named_with_the_longest_attempt(server, app):
    worker = StepWorker(app.namespace.shards[0], app, "ann")
    worker.attempts.long_attempts.note("work", 290_000, 300_000)
    worker.beat()
    (found,) = [each for each in doctor(server) if each["check"] == "time-outs"]
    assert found["level"] == "warning"
    assert found["value"] == "an attempt of work has run for 4 min 50 s of the 5 min that it may"
