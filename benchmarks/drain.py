"""Drain a backlog of no-op tasks with full records: one worker process `-c 8` against a real server.

python benchmarks/drain.py [--runs 100000] [--task plain|coroutine] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from server import BenchServer, client_of

from jobistemer.bench.tasks import build_app

URL_VARIABLE = "JOBISTEMER_URL"


def drain(server: BenchServer, task: str, runs: int, *, fresh: bool = True) -> dict[str, float]:
    """One round; the figures of one worker that empties the queue. Unless `fresh`, what was there before stays."""
    client = client_of(server.url)
    if fresh:
        client.flushall()
    app = build_app(server.url)
    started = time.perf_counter()
    app.enqueue_many(app.request(task) for _ in range(runs))
    enqueue = time.perf_counter() - started
    waiting = client.info("memory")["used_memory"]
    server_cpu = server.cpu_seconds()
    env = {**os.environ, URL_VARIABLE: server.url}
    command = [sys.executable, "-m", "jobistemer.bench.role_process", "drain", "3600"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    cost = json.loads(done.stdout.strip().splitlines()[-1])
    left = app.namespace.shards[0].ask("XLEN", app.namespace.shards[0].keys.stream("default:5"))
    assert left == 0, f"{left} runs were left"
    return {
        "runs/s": runs / cost["seconds"],
        "worker µs/run": cost["cpu"] / runs * 1e6,
        "server µs/run": (server.cpu_seconds() - server_cpu) / runs * 1e6,
        "enqueue/s": runs / enqueue,
        "bytes waiting": (waiting - server.empty_bytes) / runs,
        "bytes finished": (client.info("memory")["used_memory"] - server.empty_bytes) / runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task", choices=["plain", "coroutine"], nargs="*", default=["plain", "coroutine"])
    args = parser.parse_args()
    with BenchServer() as server:
        for task in args.task:
            rounds = [drain(server, task, args.runs) for _ in range(args.rounds)]
            print(task, {key: round(statistics.median(each[key] for each in rounds), 1) for key in rounds[0]})


if __name__ == "__main__":
    main()
