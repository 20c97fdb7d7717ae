"""What the figures depend on: processor, cores, versions. No names, no paths."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

from benchmarks.peers.catalogue import Peer
from benchmarks.peers.environments import read_version
from benchmarks.peers.servers import Server
from jobistemer.bench.environment import read_processor_name


def preferred_server() -> str:
    """The machine's redis-server where there is one, because most readers run that; else the embedded Valkey."""
    return "redis" if shutil.which("redis-server") else "valkey"


def describe_machine(kind: str, peers: tuple[Peer, ...], before: dict[str, Any]) -> dict[str, Any]:
    with Server(kind) as server:
        return {
            "processor": read_processor_name(),
            "cores": os.cpu_count(),
            "load before": round(os.getloadavg()[0], 1),
            "kernel": platform.release().split("-")[0],
            "python": platform.python_version(),
            "node": _node(),
            "server": server.version(),
            "day": datetime.now(UTC).date().isoformat(),
            "versions": {**before.get("versions", {}), **{peer.name: read_version(peer) for peer in peers}},
        }


def _node() -> str:
    if shutil.which("node") is None:
        return ""
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
