"""A master, its replicas and three Sentinels, as processes that can be killed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chaos.system import wait_until
from tests.support.clusters import free_port
from tests.support.servers import VALKEY, binary_of

SERVICE = "main"
# Nobody waits longer than he must: a replica is fed at once, and says once a second how far it is.
_QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
_SENTINEL = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {service} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {service} 500
sentinel failover-timeout {service} 2000
"""


class SentinelDeployment:
    """`options` are given to master and replica alike; who is the master changes."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = ("--save", "", "--appendonly", "yes", "--appendfsync", "no", *_QUICK, *options)
        self._first, self._second, *self._sentinel_ports = (free_port() for _ in range(5))
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._sentinels: list[subprocess.Popen[bytes]] = []
        where = ",".join(f"127.0.0.1:{port}" for port in self._sentinel_ports)
        self.url = f"redis+sentinel://{where}/{SERVICE}/0"

    def start(self) -> None:
        """Start all of them; the Sentinels last, because they look for replicas at once and then every ten seconds."""
        self._start_server(self._first)
        self._start_server(self._second, "--replicaof", "127.0.0.1", str(self._first))
        wait_until("the replica follows", lambda: self._replicas(self._first) == 1)
        for port in self._sentinel_ports:
            file = self._folder / f"sentinel-{port}.conf"
            file.write_text(
                _SENTINEL.format(port=port, folder=self._folder, master=self._first, service=SERVICE), encoding="ascii"
            )
            self._sentinels.append(self._run(f"sentinel-{port}", str(file), "--sentinel"))
        wait_until(
            "every Sentinel knows the replica and the others", lambda: all(map(self._is_complete, self._sentinel_ports))
        )

    def master(self) -> int:
        """The port that the first Sentinel that answers names."""
        return int(self._ask(self._sentinel_ports[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def kill_master(self) -> int:
        """Kill the master, in the middle of commands, when its replica has all that it has acknowledged; its port.

        What it had not passed on would be lost with it, and nobody can promise otherwise: replication is asynchronous.
        """
        port = self.master()
        self._ask(port, "CLIENT", "PAUSE", "30000", "WRITE")
        wait_until("the replica has everything", self.caught_up)
        self._servers[port].kill()
        self._servers[port].wait()
        return port

    def freeze_master(self) -> int:
        """Let the master answer nobody while all its connections stay; the port where it is."""
        port = self.master()
        self._servers[port].send_signal(signal.SIGSTOP)
        return port

    def thaw(self, port: int) -> None:
        """It takes itself for the master until the Sentinels tell it otherwise."""
        self._servers[port].send_signal(signal.SIGCONT)

    def caught_up(self) -> bool:
        """Whether the replica has all that the master has acknowledged."""
        told = self._ask(self._replica(), "INFO", "replication")
        acknowledged = self._ask(self.master(), "INFO", "replication")["master_repl_offset"]
        return told["master_link_status"] == "up" and told["slave_repl_offset"] == acknowledged

    def replica_url(self) -> str:
        return f"redis://127.0.0.1:{self._replica()}/0"

    def restart(self, port: int) -> None:
        """Start a server again where it was, as a replica; the Sentinels would see to that within ten seconds."""
        self._start_server(port, "--replicaof", "127.0.0.1", str(self.master()))

    def followed(self) -> bool:
        """Whether the master has a replica again."""
        return self._replicas(self.master()) == 1

    def kill(self) -> None:
        for process in [*self._sentinels, *self._servers.values()]:
            process.kill()
            process.wait()

    def _start_server(self, port: int, *options: str) -> None:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        place = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder))
        self._servers[port] = self._run(f"server-{port}", *place, *self._options, *options)

    def _run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen([binary_of(VALKEY), *arguments], stdout=log, stderr=log)

    def _is_complete(self, port: int) -> bool:
        try:
            others = self._ask(port, "SENTINEL", "SENTINELS", SERVICE)
            return len(others) == 2 and len(self._ask(port, "SENTINEL", "REPLICAS", SERVICE)) == 1
        except redis.RedisError:
            return False

    def _replica(self) -> int:
        (port,) = {self._first, self._second} - {self.master()}
        return port

    def _replicas(self, port: int) -> int:
        try:
            told = self._ask(port, "INFO", "replication")
        except redis.RedisError:
            return 0
        return sum(name.startswith("slave") and value["state"] == "online" for name, value in told.items())

    def _ask(self, port: int, *command: str) -> Any:
        with redis.Redis(port=port, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
            return client.execute_command(*command)
