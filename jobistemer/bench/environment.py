"""What the server says of itself, and what its work costs it: `INFO`, so that it may be anywhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from jobistemer.core.errors import ServerRefused
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import redact_url

LOCAL_HOSTS: Final = ("localhost", "127.", "[::1]", "::1")
BYTES_PER_RUN: Final = 1_500
"""What a run takes at the most while it waits and after it has ended, with room to spare."""
LOAD_WINDOW_S = 0.5
BUSY_SHARE: Final = 0.05
"""The share of a core from which a server counts as busy with something else."""
PINGS: Final = 200


class ServerProbe:
    """The server of a namespace. What it does not tell, because this user may not run INFO, is None."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        infos = [(shard, self._read_info(shard)) for shard in namespace.shards]
        # On a cluster several shards may be on one node, which is to be counted once.
        self._nodes = list({info.get("run_id", ""): shard for shard, info in infos}.values())
        self.info: Mapping[str, Any] = infos[0][1]

    def cpu_seconds(self) -> float | None:
        """CPU time of the server so far, system time included."""
        if not self.info:
            return None
        infos = [self._read_info(node) for node in self._nodes]
        return float(sum(each["used_cpu_user"] + each["used_cpu_sys"] for each in infos))

    def cpu_seconds_since(self, before: float | None) -> float | None:
        """CPU seconds since then."""
        now = self.cpu_seconds()
        return None if now is None or before is None else now - before

    def describe(self) -> dict[str, Any]:
        """What the figures depend on, and how long a round trip takes."""
        info = self.info
        trips = sorted(self._round_trip_ms() for _ in range(PINGS))
        return {
            "url": redact_url(self._namespace.url),
            "server": info.get("server_name", "redis" if info else "unknown"),
            "version": str(info.get("valkey_version") or info.get("redis_version", "")),
            "mode": info.get("redis_mode") or info.get("server_mode", ""),
            "appendonly": bool(info.get("aof_enabled", 0)),
            "io_threads": info.get("io_threads_active", 0),
            "shards": len(self._namespace.shards),
            "round_trip_p50_ms": round(trips[PINGS // 2], 3),
            "round_trip_p99_ms": round(trips[PINGS * 99 // 100], 3),
        }

    def warnings(self, load: float, cores: int) -> list[str]:
        """Why the figures may not be what they would be."""
        found = [] if self.is_local() else ["the server is not on this machine: its network is in every figure"]
        if not self.info:
            found.append("this user may not run INFO: what the server spends is not known")
        elif (busy := self._measure_load()) >= BUSY_SHARE:
            found.append(f"the server is busy with something else: {busy:.0%} of a core before anything was measured")
        if load > cores / 2:
            found.append(f"this machine is busy with something else: load {load:g} on {cores} cores")
        return found

    def is_local(self) -> bool:
        """Whether the server is reached without a network, as far as its URL tells."""
        parts = urlsplit(self._namespace.url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        return parts.scheme == "unix" or all(host.startswith(LOCAL_HOSTS) for host in hosts)

    def max_runs(self, wanted: int) -> int:
        """How many runs may be on record at a time without coming near the server's memory limit."""
        free = int(self.info.get("maxmemory", 0)) - int(self.info.get("used_memory", 0))
        return min(wanted, free // 2 // BYTES_PER_RUN) if self.info.get("maxmemory", 0) else wanted

    def _measure_load(self) -> float:
        before, began = self.cpu_seconds(), time.perf_counter()
        time.sleep(LOAD_WINDOW_S)
        return (self.cpu_seconds_since(before) or 0.0) / (time.perf_counter() - began)

    def _round_trip_ms(self) -> float:
        began = time.perf_counter()
        self._nodes[0].ask("PING")
        return (time.perf_counter() - began) * 1000

    @staticmethod
    def _read_info(shard: Any) -> Mapping[str, Any]:
        try:
            info: Mapping[str, Any] = shard.ask("INFO")
        except ServerRefused:
            return {}
        return info
