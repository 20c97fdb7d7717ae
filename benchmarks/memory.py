"""Memory: bytes of the server for each run, what idle processes hold, and whether a worker grows with the runs it executes.

    python benchmarks/memory.py [--runs 1000000] [--first 100000] [--only records idle ticker growth]

One worker process executes all of the runs; its memory is printed after the first part of them, after each further
million, and at the end. Finished runs are removed from the server in between, so that any number of them fits into the
memory of a small machine. redis-py imports OpenTelemetry where it is installed, 2.5 MB: measure in an environment like
that of the processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import redis
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.bench.tasks import build_app
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.jobs.options import Options
from jobistemer.core.schedules import Interval

PARTS = ("records", "idle", "ticker", "growth")
PART = 50_000
"""How many runs wait at a time while a worker's growth is measured."""


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


# Installed packages have byte code; where it is not kept, compiling leaves a megabyte behind.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def start(server: BenchServer, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, env={**ENVIRONMENT, "JOBISTEMER_URL": server.url}, stdout=subprocess.DEVNULL)


def wait_until(condition: Callable[[], object], timeout: float = 120) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "the machine is too slow for this, or nothing moves"
        time.sleep(0.02)


def measure_records(server: BenchServer, app: Jobistemer, runs: int) -> dict[str, float]:
    client = client_of(server.url)
    app.enqueue_many(app.request("plain") for _ in range(100))
    empty = client.info("memory")["used_memory"]
    app.enqueue_many(app.request("plain") for _ in range(runs))
    waiting = client.info("memory")["used_memory"] - empty
    subprocess.run(
        [sys.executable, "-m", "jobistemer.bench.role_process", "drain", "3600"],
        env={**os.environ, "JOBISTEMER_URL": server.url}, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    finished = client.info("memory")["used_memory"] - empty
    return {"waiting bytes/run": round(waiting / runs, 1), "finished bytes/run": round(finished / runs, 1)}


def measure_idle(server: BenchServer, role: str) -> float:
    client = client_of(server.url)
    client.flushall()
    process = start(server, "jobistemer.bench.role_process", {"worker": "serve", "ticker": "tick"}[role])
    wait_until(lambda: client.exists(f"{{jobistemer:0}}:{role}s"))
    # Two beats: what is loaded at first use is loaded by then.
    seen = client.zrange(f"{{jobistemer:0}}:{role}s", 0, 0, withscores=True)[0][1]
    wait_until(lambda: client.zrange(f"{{jobistemer:0}}:{role}s", 0, 0, withscores=True)[0][1] > seen)
    held = resident_mb(process.pid)
    process.terminate()
    process.wait()
    return round(held, 1)


def count_added(client: redis.Redis, stream: str) -> int:
    return client.xinfo_stream(stream)["entries-added"] if client.exists(stream) else 0


def measure_ticker(server: BenchServer, jobs: int, every: str, firings: int) -> dict[str, float]:
    """A ticker with jobs that are all due at the same instants, after each of them has fired so often."""
    client = client_of(server.url)
    client.flushall()
    app = build_app(server.url)
    plain = Task("plain", "plain", options=Options(retention_s=30))
    made = (Job(name=f"job-{number}", schedule=Interval(every), tasks=(plain,), history_s=60) for number in range(jobs))
    app.control.register_all(list(made))
    processes = [start(server, "jobistemer.bench.role_process", role) for role in ("tick", "serve")]
    stream = app.namespace.shards[0].keys.stream("default:5")
    held: list[float] = []
    for firing in (1, firings):
        wait_until(lambda wanted=firing * jobs: count_added(client, stream) >= wanted, 1200)
        held.append(round(resident_mb(processes[0].pid), 1))
    for process in processes:
        process.terminate()
        process.wait()
    return {"first firing MB": held[0], f"after {firings} MB": held[1]}


def remove_finished(client: redis.Redis) -> None:
    cursor = -1
    while cursor:
        cursor, keys = client.scan(max(cursor, 0), count=5000)
        finished = [key for key in keys if b":run:" in key or b":attempt:" in key]
        if finished:
            client.unlink(*finished)


def measure_growth(server: BenchServer, first: int, runs: int) -> dict[str, float]:
    client = client_of(server.url)
    client.flushall()
    app = build_app(server.url)
    process = start(server, "jobistemer.bench.role_process", "serve")
    stream = app.namespace.shards[0].keys.stream("default:5")
    held: dict[int, float] = {}
    done = 0
    while done < runs:
        app.enqueue_many(app.request("plain") for _ in range(PART))
        wait_until(lambda: client.xlen(stream) == 0)
        done += PART
        remove_finished(client)
        if done in (first, runs) or done % 1_000_000 == 0:
            held[done] = round(resident_mb(process.pid), 1)
            print("so far", json.dumps({"runs": done, "worker MB": held[done]}), flush=True)
    process.terminate()
    process.wait()
    return {
        f"worker MB after {first:,}": held[first],
        f"worker MB after {runs:,}": held[runs],
        "growth %": round((held[runs] / held[first] - 1) * 100, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    with BenchServer() as server:
        parts: dict[str, Callable[[], dict[str, float]]] = {
            "records": lambda: measure_records(server, build_app(server.url), 50_000),
            "idle": lambda: {f"{role} MB": measure_idle(server, role) for role in ("worker", "ticker")},
            "ticker": lambda: {
                f"{jobs:,} jobs, {key}": value
                for jobs, every, firings in ((1_000, "PT1S", 60), (10_000, "PT10S", 6))
                for key, value in measure_ticker(server, jobs, every, firings).items()
            },
            "growth": lambda: measure_growth(server, args.first, args.runs),
        }
        for part in args.only:
            print(part, json.dumps(parts[part]()), flush=True)


if __name__ == "__main__":
    main()
