"""What the server says of itself, and what its work costs it: `INFO`, so that it may be anywhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from jobistemer.core.errors import ServerRefused
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import redacted

HERE: Final = ("localhost", "127.", "[::1]", "::1")
BYTES_A_RUN: Final = 1_500
"""What a run takes at the most while it waits and after it has ended, with room to spare."""
LOOK_S = 0.5
BUSY: Final = 0.05
"""The share of a core from which a server counts as busy with something else."""
PINGS: Final = 200


class Gauge:
    """The server of a namespace. What it does not tell, because this user may not run INFO, is None."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        told = [(shard, self._info(shard)) for shard in namespace.shards]
        # On a cluster several shards may be on one node, which is to be counted once.
        self._nodes = list({about.get("run_id", ""): shard for shard, about in told}.values())
        self.about: Mapping[str, Any] = told[0][1]

    def cpu_seconds(self) -> float | None:
        """CPU time of the server so far, system time included."""
        if not self.about:
            return None
        told = [self._info(node) for node in self._nodes]
        return float(sum(each["used_cpu_user"] + each["used_cpu_sys"] for each in told))

    def since(self, before: float | None) -> float | None:
        """CPU seconds since then."""
        now = self.cpu_seconds()
        return None if now is None or before is None else now - before

    def described(self) -> dict[str, Any]:
        """What the figures depend on, and how long a round trip takes."""
        about = self.about
        trips = sorted(self._round_trip_ms() for _ in range(PINGS))
        return {
            "url": redacted(self._namespace.url),
            "server": about.get("server_name", "redis" if about else "unknown"),
            "version": str(about.get("valkey_version") or about.get("redis_version", "")),
            "mode": about.get("redis_mode") or about.get("server_mode", ""),
            "appendonly": bool(about.get("aof_enabled", 0)),
            "io_threads": about.get("io_threads_active", 0),
            "shards": len(self._namespace.shards),
            "round_trip_p50_ms": round(trips[PINGS // 2], 3),
            "round_trip_p99_ms": round(trips[PINGS * 99 // 100], 3),
        }

    def warnings(self, load: float, cores: int) -> list[str]:
        """Why the figures may not be what they would be."""
        found = [] if self.is_local() else ["the server is not on this machine: its network is in every figure"]
        if not self.about:
            found.append("this user may not run INFO: what the server spends is not known")
        elif (busy := self._busy()) >= BUSY:
            found.append(f"the server is busy with something else: {busy:.0%} of a core before anything was measured")
        if load > cores / 2:
            found.append(f"this machine is busy with something else: load {load:g} on {cores} cores")
        return found

    def is_local(self) -> bool:
        """Whether the server is reached without a network, as far as its URL tells."""
        parts = urlsplit(self._namespace.url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        return parts.scheme == "unix" or all(host.startswith(HERE) for host in hosts)

    def most_runs(self, wanted: int) -> int:
        """How many runs may be on record at a time without coming near the server's memory limit."""
        free = int(self.about.get("maxmemory", 0)) - int(self.about.get("used_memory", 0))
        return min(wanted, free // 2 // BYTES_A_RUN) if self.about.get("maxmemory", 0) else wanted

    def _busy(self) -> float:
        before, began = self.cpu_seconds(), time.perf_counter()
        time.sleep(LOOK_S)
        return (self.since(before) or 0.0) / (time.perf_counter() - began)

    def _round_trip_ms(self) -> float:
        began = time.perf_counter()
        self._nodes[0].ask("PING")
        return (time.perf_counter() - began) * 1000

    @staticmethod
    def _info(shard: Any) -> Mapping[str, Any]:
        try:
            told: Mapping[str, Any] = shard.ask("INFO")
        except ServerRefused:
            return {}
        return told
