"""The conditions that figures depend on: this machine, and the server, which may be anywhere and is read by `INFO`."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jobistemer import __version__
from jobistemer.core.errors import ServerRefused
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.server import ping, read_server_info
from jobistemer.store.server.connection import redact_url

LOCAL_HOSTS: Final = ("localhost", "127.", "[::1]", "::1")
BYTES_PER_RUN: Final = 1_500
"""Upper limit of what a run takes in the server, while it waits and after it has ended."""
LOAD_WINDOW_S = 0.5
BUSY_SHARE: Final = 0.05
"""Share of a core from which a server counts as busy with other work."""
PINGS: Final = 200


class ServerProbe:
    """The server of a namespace, as INFO shows it. Values are None when this user may not run INFO."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        infos = [(shard, _read_info(shard)) for shard in namespace.shards]
        # On a cluster several shards may be on one node, whose CPU time must be counted once.
        self._nodes = list({info.get("run_id", ""): shard for shard, info in infos}.values())
        self.info: Mapping[str, Any] = infos[0][1]

    def cpu_seconds(self) -> float | None:
        """Return the CPU seconds that the server has used so far, system time included."""
        if not self.info:
            return None
        infos = [_read_info(node) for node in self._nodes]
        return float(sum(each["used_cpu_user"] + each["used_cpu_sys"] for each in infos))

    def cpu_seconds_since(self, before: float | None) -> float | None:
        """Return the CPU seconds used since an earlier `cpu_seconds()`."""
        now = self.cpu_seconds()
        return None if now is None or before is None else now - before

    def describe(self) -> dict[str, Any]:
        """Return version and settings of the server, and how long a round trip takes."""
        info = self.info
        trips = sorted(self._measure_round_trip_ms() for _ in range(PINGS))
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

    def find_warnings(self, load: float, cores: int) -> list[str]:
        """Return the reasons why figures may be worse than this machine (its load and cores) and server allow."""
        found = [] if self.is_local() else ["the server is not on this machine: its network is in every figure"]
        if not self.info:
            found.append("this user may not run INFO: what the server spends is not known")
        elif (busy := self._measure_load()) >= BUSY_SHARE:
            found.append(f"the server is busy with something else: {busy:.0%} of a core before anything was measured")
        if load > cores / 2:
            found.append(f"this machine is busy with something else: load {load:g} on {cores} cores")
        return found

    def is_local(self) -> bool:
        """Return whether the server is reached without a network, as far as its URL shows."""
        parts = urlsplit(self._namespace.url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        return parts.scheme == "unix" or all(host.startswith(LOCAL_HOSTS) for host in hosts)

    def limit_runs(self, wanted: int) -> int:
        """Return how many of the wanted runs fit into half of what the server's memory limit leaves free."""
        free = int(self.info.get("maxmemory", 0)) - int(self.info.get("used_memory", 0))
        return min(wanted, free // 2 // BYTES_PER_RUN) if self.info.get("maxmemory", 0) else wanted

    def _measure_load(self) -> float:
        before, began = self.cpu_seconds(), time.perf_counter()
        time.sleep(LOAD_WINDOW_S)
        return (self.cpu_seconds_since(before) or 0.0) / (time.perf_counter() - began)

    def _measure_round_trip_ms(self) -> float:
        began = time.perf_counter()
        ping(self._nodes[0])
        return (time.perf_counter() - began) * 1000


def _read_info(database: Database) -> Mapping[str, Any]:
    try:
        return read_server_info(database)
    except ServerRefused:
        return {}


def describe_host() -> dict[str, Any]:
    """Return processor, cores, load and versions of this machine. It names no host and no path."""
    return {
        "processor": read_processor_name(),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "jobistemer": __version__,
        "redis-py": _find_version("redis"),
        "hiredis": _find_version("hiredis"),
    }


def read_processor_name() -> str:
    """Return the name of the processor, or of its architecture where the system does not name it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
