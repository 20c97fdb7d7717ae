"""Enqueue-to-start latency on an idle system, and what idle processes cost.

python benchmarks/latency.py [--runs 300] [--idle-seconds 10]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.bench.tasks import build_app

URL_VARIABLE = "JOBISTEMER_URL"
ROLES = {"worker": "serve", "ticker": "tick"}


def start(role: str, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobistemer.bench.role_process", ROLES[role]]
    return subprocess.Popen(command, env={**os.environ, URL_VARIABLE: url}, stdout=subprocess.DEVNULL)


def latency(app: Jobistemer, task: str, runs: int, pause: float) -> dict[str, float]:
    """Milliseconds from before the enqueue to the first line of the handler, one call at a time."""
    late = []
    for _ in range(runs):
        late.append(app.enqueue(task, {"sent": time.monotonic()}).result(timeout=10) * 1000)
        time.sleep(pause)
    cuts = statistics.quantiles(late, n=100)
    return {"p50 ms": round(statistics.median(late), 2), "p99 ms": round(cuts[98], 2)}


def idle(role: str, server: BenchServer, seconds: float) -> dict[str, float]:
    """Commands a second and share of a core of one process that has nothing to do."""
    client = client_of(server.url)
    client.flushall()
    process = start(role, server.url)
    wait_until(lambda: client.exists(f"{{jobistemer:0}}:{role}s"))
    cpu, until = cpu_seconds(process.pid), time.monotonic() + seconds
    sent = 0
    with client.monitor() as monitor:
        # What scripts do inside the server is marked as theirs; commands are what a process sends.
        while time.monotonic() < until:
            sent += monitor.next_command()["client_type"] != "lua"
    spent = cpu_seconds(process.pid) - cpu
    process.terminate()
    process.wait()
    return {"commands/s": round(sent / seconds, 2), "% of a core": round(spent / seconds * 100, 2)}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--idle-seconds", type=float, default=10)
    args = parser.parse_args()
    with BenchServer() as server:
        for role in ("worker", "ticker"):
            print(f"idle {role}", json.dumps(idle(role, server, args.idle_seconds)), flush=True)
        process = start("worker", server.url)
        app = build_app(server.url)
        for task in ("stamp", "stamp_coroutine"):
            latency(app, task, 20, 0.01)
            print(f"latency {task}", json.dumps(latency(app, task, args.runs, 0.01)), flush=True)
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
