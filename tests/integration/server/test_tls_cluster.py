"""A cluster that speaks TLS only: what is checked of each node, and that users, moves and doctor work like in plain text."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.core import ids
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.jobs import list_history
from jobistemer.store.server.cluster_map import hash_slot
from tests.support.apps import running_ticker, running_worker
from tests.support.clusters import LocalCluster
from tests.support.roles import create_user_on, wait_for_scripts
from tests.support.servers import SHARDS
from tests.support.tls_servers import Certificates, running_tls_cluster, speaks_tls
from tests.support.worker_processes import wait_until

pytestmark = [pytest.mark.process, speaks_tls]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Certificates for the address that the nodes are known by."""
    return Certificates(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


@pytest.fixture(scope="module")
def cluster(made, tmp_path_factory):
    """It asks for client certificates."""
    with running_tls_cluster(tmp_path_factory.mktemp("tls"), made, clients="yes") as cluster:
        yield cluster


@pytest.fixture
def options(cluster, made):
    for node in cluster.masters:
        node.client.flushall()
    return {"ssl_ca_certs": made.ca, "ssl_certfile": made.client, "ssl_keyfile": made.client_key}


def app_at(url: str, options: dict[str, str]) -> Jobistemer:
    app = Jobistemer(f"{url}?{urlencode(options)}", namespace="test", shards=SHARDS)

    @app.task
    def double(number: int) -> int:
        return 2 * number

    @app.job("* * * * * *", name="every_second")
    def every_second() -> None: ...

    return app


def refusal(url: str, options: dict[str, str]) -> str:
    with pytest.raises(NotConnected) as refused:
        Namespace(f"{url}?{urlencode(options)}", "test").connect()
    return str(refused.value)


def doubled(app: Jobistemer) -> None:
    """A hundred calls, one by one, and all of them are done."""
    handles = [app.enqueue("double", {"number": number}) for number in range(100)]
    assert [handle.result(timeout=60) for handle in handles] == [2 * number for number in range(100)]


async def awaited(app: Jobistemer, numbers: range) -> list[object]:
    handles = [await app.enqueue_async("double", {"number": number}) for number in numbers]
    return [await handle.result_async(timeout=60) for handle in handles]


@contextmanager
def moving(cluster: LocalCluster, app: Jobistemer, number: int) -> Iterator[None]:
    """A shard goes from node to node, key by key, while something is done; by the end of that it has arrived."""
    slot = hash_slot(app.namespace.shards[number].keys.tag)
    target = next(node for node in cluster.masters if node is not cluster.owner(slot))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(cluster.move, slot, target)
        yield
        under_way.result(60)
    assert cluster.owner(slot) is target


def test_work_on_all_shards_goes_over_tls_for_threads_and_coroutines_also_while_a_slot_moves(cluster, options):
    app = app_at(cluster.url, options)
    app.deploy()
    with running_worker(app), running_ticker(app):
        # When calls are made in all ways
        handles = [app.enqueue("double", {"number": number}) for number in range(50)]
        handles += app.enqueue_many(app.request("double", {"number": number}) for number in range(50, 100))
        assert [handle.result(timeout=60) for handle in handles] == [2 * number for number in range(100)]
        assert asyncio.run(awaited(app, range(20))) == [2 * number for number in range(20)]

        # And more of them while a shard is on its way, which redirects commands
        with moving(cluster, app, 0):
            doubled(app)
        job = ids.job_id("every_second")
        wait_until(lambda: list_history(app.namespace.for_job(job), job), "the job has fired")


@pytest.mark.slow
def test_each_role_works_with_a_user_of_its_own_over_tls_also_while_a_slot_moves(cluster, options):
    def url(*roles: str) -> str:
        return create_user_on([node.client for node in cluster.nodes], cluster.url, "test", *roles)

    app_at(url("operator"), options).deploy()
    producer, worker = app_at(url("producer"), options), app_at(url("worker"), options)
    with running_worker(worker), running_ticker(app_at(url("ticker"), options)):
        wait_for_scripts(node.client for node in cluster.masters)
        with moving(cluster, producer, 1):
            doubled(producer)
    denied = [entry for node in cluster.nodes for entry in node.client.acl_log()]
    assert denied == []


def test_a_wrong_password_is_told_as_such(cluster, options):
    url = create_user_on([node.client for node in cluster.nodes], cluster.url, "test", "worker").replace(
        "s3cret", "guessed"
    )
    with pytest.raises(ServerRefused, match="User or password is wrong") as told:
        app_at(url, options).namespace.connect()
    assert "guessed" not in str(told.value)


def doctor(url: str, options: dict[str, str]) -> tuple[set[str], list[dict[str, str]]]:
    """The nodes that it looked at, and what it could not look at."""
    where = ["--url", f"{url}?{urlencode(options)}", "--namespace", "test", "--json"]
    found = json.loads(CliRunner().invoke(main, ["doctor", *where]).stdout)["findings"]
    reached = {each["node"] for each in found if each["check"] == "version"}
    return reached, [each for each in found if each["check"] in ("node", "shards") and each["level"] != "fine"]


def test_doctor_reaches_every_node_over_tls(cluster, options):
    app_at(cluster.url, options).deploy()
    assert doctor(cluster.url, options) == ({f"127.0.0.1:{node.port}" for node in cluster.nodes}, [])


def test_what_is_wrong_with_a_certificate_is_told_with_the_option_that_helps(cluster, made, options):
    assert "ssl_ca_certs=/path/to/ca.crt" in refusal(cluster.url, {**options, "ssl_ca_certs": made.other_ca})
    assert "ssl_certfile=/path/to/client.crt" in refusal(cluster.url, {"ssl_ca_certs": made.ca})
    strange = {**options, "ssl_certfile": made.strange, "ssl_keyfile": made.strange_key}
    assert "a client certificate that it trusts" in refusal(cluster.url, strange)
    by_name = cluster.url.replace("127.0.0.1", "localhost")
    assert "is for another name" in refusal(by_name, options)
    assert "begins with rediss" in refusal(cluster.url.replace("rediss", "redis"), {})


@pytest.mark.slow
def test_nodes_that_announce_their_names_are_checked_by_name(tmp_path):
    # Given nodes whose certificates know them by name, which they announce
    made = Certificates(tmp_path, "localhost")
    names = ("--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname")
    (tmp_path / "nodes").mkdir()
    with running_tls_cluster(tmp_path / "nodes", made, clients="no", options=names) as cluster:
        # When a client is given their names
        url, options = cluster.url.replace("127.0.0.1", "localhost"), {"ssl_ca_certs": made.ca}
        app = app_at(url, options)
        with running_worker(app):
            # Then the names that the cluster tells are the ones that are checked
            doubled(app)
            assert asyncio.run(awaited(app, range(10))) == [2 * number for number in range(10)]
        # A node's name goes round among them after its address.
        every = ({f"localhost:{node.port}" for node in cluster.nodes}, [])
        wait_until(lambda: doctor(url, options) == every, "doctor reaches every node by its name")
