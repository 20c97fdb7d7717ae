"""Each role on a real server with the rights that `jobistemer acl` prints: enough for all it does, and for no more."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
import redis

from jobistemer import Context, Jobistemer
from jobistemer.cli.top.snapshot import open_counting_shards, take_snapshot
from jobistemer.contrib.answer_links import AnswerLinks
from jobistemer.control.audit import audit_jobs
from jobistemer.control.cancel import cancel_run
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.control.jobs import JobControl
from jobistemer.control.put_aside import put_aside
from jobistemer.control.quarantine import Quarantine
from jobistemer.control.stats import read_stats
from jobistemer.core import ids
from jobistemer.core.errors import InvalidInput, QueueClosed, ServerRefused
from jobistemer.core.jobs.limits import Concurrency
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.settings import TickerSettings
from jobistemer.core.unreadable import Unreadable
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store import acl
from jobistemer.store.acl import PRODUCER
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import jobs, queues
from jobistemer.store.reads.metrics import Gauges
from jobistemer.store.reads.records import find_record
from jobistemer.store.server.connection import Server
from jobistemer.ticker import Ticker
from jobistemer.web.shared.actions import ACTIONS
from tests.support.apps import running_worker
from tests.support.dashboard_client import AT, DashboardClient
from tests.support.lifecycle import fetch_one
from tests.support.roles import create_user_on, wait_for_scripts
from tests.support.servers import SHARDS, clusters, empty_server, running, single
from tests.support.steps import suspend
from tests.support.worker_processes import wait_until


@pytest.fixture(scope="module", params=[*single(), *clusters()])
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("acl")) as url:
        yield url


@pytest.fixture
def admins(server):
    """A client for each node; there is one, or those of a cluster, each with users of its own."""
    empty_server(server)
    opened = Server(server)
    opened.client("{test:0}").ping()
    clients = nodes_of(opened)
    for client in clients:
        client.execute_command("ACL", "LOG", "RESET")
    yield clients
    opened.close()


def nodes_of(opened: Server) -> list[redis.Redis]:
    nodes = opened.cluster
    return [nodes.client(each) for each in nodes.nodes()] if nodes else [opened.client("")]


@pytest.fixture
def url(server, admins):
    """`url("worker")` is what a worker connects to."""
    return lambda *roles: create_user_on(admins, server, "test", *roles)


def shop(url: str) -> Jobistemer:
    app = Jobistemer(url, namespace="test")

    @app.task(retry=NO_RETRIES)
    def fail() -> None:
        raise ValueError("no")

    @app.task
    def quiet() -> None: ...

    @app.task(limits=[Concurrency(1)])
    def limited(context: Context) -> int:
        context.transaction.write("INCRBY", "seen", 1)
        context.transaction.enqueue(quiet.request())
        return 1

    @app.task
    async def again(context: Context) -> int:
        if not context.attempt:
            raise OSError("not yet")
        return context.attempt

    @app.job("* * * * * *", name="every_second", overlap="queue")
    def every_second() -> None: ...

    return app


def denied(admins: list[redis.Redis]) -> list[str]:
    """What the servers have refused their users."""
    logged = [entry for admin in admins for entry in admin.execute_command("ACL", "LOG")]
    return [
        f"{entry[b'username'].decode()}: {entry[b'reason'].decode()} {entry[b'object'].decode()}"
        for entry in (dict(zip(each[::2], each[1::2], strict=True)) for each in logged)
    ]


def test_every_role_can_do_all_its_work_and_is_never_refused(url, admins):
    # Given a user for each role, a ticker and a worker at work, and jobs that the operator has deployed
    shop(url("operator")).deploy()
    producer, shutdown = shop(url("producer")), Shutdown()
    ticker = Ticker(Namespace(url("ticker"), "test"), TickerSettings(pass_s=0.5))
    thread = start_thread(lambda: ticker.run(shutdown), "ticker")
    with running_worker(shop(url("worker"))):
        wait_for_scripts(admins)
        # When work is enqueued, fails, is retried and replayed, while jobs are due
        assert producer.enqueue("limited", {}).result(timeout=60) == 1
        assert producer.enqueue("again", {}, delay=0.01).result(timeout=60) == 1
        broken = producer.enqueue("fail", {})
        operator = Namespace(url("operator"), "test")
        wait_until(lambda: DeadLetters(operator).page(), "the run is dead")
        assert DeadLetters(operator).replay(broken.id)
        later = producer.enqueue("limited", {}, delay=3600)
        assert cancel_run(operator, later.id) == "canceled"
        viewer, job = Namespace(url("viewer"), "test"), ids.job_id("every_second")
        history = lambda: jobs.list_history(viewer.for_job(job), job)  # noqa: E731
        wait_until(lambda: sum(each.state == "completed" for each in history()) > 1, "the job has run twice")
        JobControl(operator).pause("every_second")
        # Then the viewer sees all that, and nothing is unaccounted for
        assert {each.name for each in queues.list_queues(viewer.shards)} == {"default"}
        assert {each.name for each in Gauges(viewer).measures()} >= {"queue_waiting", "dead_runs"}
        assert len(queues.list_workers(viewer.shards)) == len(queues.list_tickers(viewer.shards)) == 1
        assert [each.name for each in take_snapshot(open_counting_shards(viewer)).queues] == ["default"]
        assert read_stats(viewer.shards).completed > 2
        assert [each.findings for each in audit_jobs(viewer, "every_second", None, None)] == [()]
    shutdown.request()
    thread.join(60)
    assert denied(admins) == []


MORE = {
    "FLUSHALL": ("FLUSHALL",),
    "CONFIG": ("CONFIG", "GET", "requirepass"),
    "KEYS": ("KEYS", "*"),
    "ACL": ("ACL", "LIST"),
    "MONITOR": ("MONITOR",),
    "SHUTDOWN": ("SHUTDOWN", "NOSAVE"),
    "REPLICAOF": ("REPLICAOF", "NO", "ONE"),
    "a foreign key": ("HGET", "sessions", "ann"),
    "another namespace": ("HGETALL", "{other:0}:run:run_1"),
    "a namespace that begins the same": ("HGETALL", "{test2:0}:run:run_1"),
    "a foreign key in a script": ("EVAL", "return redis.call('GET', KEYS[1])", 1, "sessions"),
    "a foreign command in a script": ("EVAL", "return redis.call('FLUSHALL')", 0),
    "a foreign channel": ("PUBLISH", "news", "x"),
}


@pytest.mark.parametrize("role", acl.ROLES)
@pytest.mark.parametrize("more", MORE)
def test_no_role_can_do_more(url, role, more):
    client = Server(url(role)).client("{test:0}")
    with pytest.raises(redis.ResponseError, match="NOPERM|no permission|No permission|user executing|ACL failure"):
        client.execute_command(*MORE[more])


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("producer", ("XREADGROUP", "GROUP", "workers", "p", "STREAMS", "{test:0}:stream:default:5", ">")),
        ("producer", ("XDEL", "{test:0}:stream:default:5", "1-1")),
        ("producer", ("HGETALL", "{test:0}:job:job_1")),
        ("producer", ("DEL", "{test:0}:run:run_1")),
        ("ticker", ("XREADGROUP", "GROUP", "workers", "t", "STREAMS", "{test:0}:stream:default:5", ">")),
        ("ticker", ("GET", "{test:0}:app:balance")),
        ("worker", ("ZADD", "{test:0}:due", "1", "job_1")),
        ("viewer", ("HSET", "{test:0}:run:run_1", "state", "succeeded")),
        ("viewer", ("EVAL", "return 1", 0)),
        ("viewer", ("GET", "{test:0}:unique:order-7")),
        ("operator", ("GET", "{test:0}:app:balance")),
    ],
)
def test_a_role_cannot_do_what_another_one_does(url, role, command):
    client = Server(url(role)).client("{test:0}")
    with pytest.raises(redis.ResponseError, match="(?i)no permission"):
        client.execute_command(*command)
    client.close()


def test_a_waiting_run_is_signaled_with_two_commands_and_the_rule_of_an_earlier_release(
    server, admins, url, monkeypatch
):
    # Given a run that waits, and a producer whose rule is older than the reading of due times
    app = shop(server)
    run = app.enqueue("quiet", {})
    (shard,) = [each for each in app.namespace.shards if find_record(each, run.id)]
    assert suspend(shard, fetch_one(shard), wait="paid").word == "DONE"
    assert app.signal(run, "other", 1)
    earlier = [each for each in PRODUCER.writes if each != "zscore delayed"]
    monkeypatch.setitem(acl.ROLES, "producer", PRODUCER._replace(writes=tuple(earlier)))
    producer = shop(url("producer"))
    assert producer.run(run.id).state() == "suspended"
    before = count_commands(admins)

    # When it is signaled
    assert producer.signal(run.id, "paid", 2)

    # Then its record was looked for on the shards up to its own, and the signal was sent
    looks = app.namespace.shards.index(shard) + 1
    spent = count_commands(admins) - before
    assert (spent["hgetall"], spent["zscore"], spent["evalsha"]) == (looks, 0, 1)
    assert app.run(run.id).state() == "pending"
    assert denied(admins) == []


def test_a_producer_whose_rule_is_older_than_one_look_at_run_and_closed_queues_enqueues(server, url, monkeypatch):
    # Given a producer whose rule allows a look at runs alone
    allowed = acl.list_permissions(PRODUCER) - {("exists", "closed")}
    monkeypatch.setattr(acl, "list_permissions", lambda role: allowed)
    producer, operator = shop(url("producer")), shop(server)
    operator.namespace.connect()
    for shard in operator.namespace.shards:
        shard.load_scripts()
    # When it enqueues, and once more while its queue is closed, then its run is created and the other is refused
    assert operator.run(producer.enqueue("quiet", {}).id).state() == "pending"
    for shard in operator.namespace.shards:
        shard.client.sadd(shard.keys.closed, "default:5")
    with pytest.raises(QueueClosed):
        producer.enqueue("quiet", {})


def count_commands(admins: list[redis.Redis]) -> Counter[str]:
    """How often each command was executed, by a client or a script."""
    found = Counter[str]()
    for admin in admins:
        found.update(
            {name.removeprefix("cmdstat_"): each["calls"] for name, each in admin.info("commandstats").items()}
        )
    return found


def test_a_missing_permission_is_told_with_the_command_the_role_and_the_remedy(url):
    shop(url("operator")).deploy()
    refused = pytest.raises(ServerRefused)
    with refused as told:
        shop(url("viewer", "producer")).control.trigger("every_second")
    assert "lacks a permission" in str(told.value)
    assert "`jobistemer acl ticker or operator` prints" in str(told.value)
    with refused as told:
        shop(url("viewer")).enqueue("quiet", {})
    assert "evalsha" in str(told.value)
    assert "`jobistemer acl producer or worker or operator` prints" in str(told.value)


def test_a_wrong_password_is_told_without_showing_it(url):
    with pytest.raises(ServerRefused, match="User or password is wrong") as told:
        Namespace(url("worker").replace("s3cret", "guessed"), "test").connect()
    assert "guessed" not in str(told.value)


def test_the_rules_of_several_roles_add_up(url, admins):
    app = shop(url("producer", "operator"))
    app.deploy()
    run = app.enqueue("quiet", {})
    assert run.cancel()
    assert denied(admins) == []


def test_an_operator_gives_jobs_their_homes_among_several_shards_and_a_viewer_finds_them(url, admins):
    app = Jobistemer(url("operator"), namespace="test", shards=SHARDS)
    for number in range(2 * SHARDS):
        app.job("0 3 * * *", name=f"job_{number}")(lambda: None)
    app.deploy()
    app.control.trigger("job_3")
    viewer = Namespace(url("viewer"), "test")
    assert [len(jobs.list_jobs([shard])) for shard in viewer.shards] == [2] * SHARDS
    assert [JobControl(viewer).is_running(f"job_{number}") for number in range(2 * SHARDS)] == [
        number == 3 for number in range(2 * SHARDS)
    ]
    assert denied(admins) == []


def put_two_aside(app, admins):
    """Put two members that nobody can read aside, with the rights of an operator; their ids in the quarantine."""
    shard = app.namespace.shards[0]
    for word in (b"nonsense", b"garbage"):
        for admin in admins:
            # Another node of a cluster says where the key is.
            with suppress(redis.ResponseError):
                admin.zadd(shard.keys.delayed, {word: 1e13})
        put_aside(shard, [Unreadable(shard.keys.delayed, "it names no run", word)])
    return [each.id for each in Quarantine(app.namespace).list()]


def test_a_viewer_is_enough_for_every_page_of_a_read_only_dashboard_and_an_operator_for_every_action(url, admins):
    app = shop(url("operator", "producer"))
    app.deploy()
    occurrence, _ = app.control.trigger("every_second")
    with running_worker(shop(url("worker"))):
        broken, waiting = app.enqueue("fail", {}), app.enqueue("quiet", {}, delay=3600)
        wait_until(app.dead.page, "the run is dead")
        wait_until(lambda: app.report(occurrence).ended_at, "the occurrence has ended")
        viewer = DashboardClient(Namespace(url("viewer"), "test"), read_only=True)
        for path in (
            "/",
            "/jobs",
            "/jobs/every_second",
            "/runs",
            "/runs?queue=default",
            "/queues",
            "/dead",
            "/workers",
            "/runs/ended",
            "/quarantine",
            "/questions",
        ):
            viewer.look(path)
        for path in (f"/occurrences/{occurrence}", f"/runs/{broken.id}", f"/runs/{waiting.id}"):
            viewer.look(path)
        assert denied(admins) == []
        live, _ = app.control.trigger("every_second")
        operator = DashboardClient(Namespace(url("operator"), "test"))
        (worker,) = queues.list_workers(app.namespace.shards)
        targets = {"job": "every_second", "queue": "mail", "worker": worker.id, "run": waiting.id, "dead": broken.id}
        kept, dropped = put_two_aside(app, admins)
        targets |= {
            "cancel-occurrence": live,
            "replay-occurrence": occurrence,
            "restore-quarantined": kept,
            "purge-quarantined": dropped,
        }
        targets["answer-run"] = waiting.id
        targets["hold"] = app.holds.put("quiet", seconds=60).name
        for action in ACTIONS:
            target = targets.get(action) or targets[action.rpartition("-")[2]]
            answer = operator.send(action, target, confirmed="yes", signal="approved", value="1")
            assert answer.status_code in (303, 409), (action, answer.text)
    assert denied(admins) == []


def test_a_dashboard_that_is_not_read_only_says_which_right_a_viewer_lacks(url, admins):
    shop(url("operator")).deploy()
    answer = DashboardClient(Namespace(url("viewer"), "test")).send("pause-job", "every_second", confirmed="yes")
    assert answer.status_code == 503
    assert "jobistemer acl operator" in answer.text


def test_a_link_to_a_question_is_signed_by_an_operator_or_with_a_token(url, admins):
    shop(url("operator")).deploy()
    assert AnswerLinks(shop(url("operator")), AT, token="").build("run_1", "ship", "ops")
    assert AnswerLinks(shop(url("producer")), AT, token="a-token-of-this-test").build("run_1", "ship", "ops")
    with pytest.raises(ServerRefused, match="the role operator may, or give the dashboard a token"):
        AnswerLinks(shop(url("producer")), AT, token="").build("run_1", "ship", "ops")


def test_a_rule_is_for_one_namespace_and_a_known_role():
    assert "~{shop:*}:run:*)" in " ".join(acl.build_rule(["producer"], "shop"))
    assert "~{shop:*}:run:*" in acl.build_rule(["producer"], "shop", selectors=False)
    with pytest.raises(InvalidInput, match="role 'root' is not known; allowed are producer, ticker, worker"):
        acl.build_rule(["root"], "shop")
