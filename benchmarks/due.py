"""Schedules due every second: are all fired, once, and how late?

    python benchmarks/due.py [--jobs 100 1000 10000] [--tickers 3] [--seconds 15]

Lateness is the server's time when the run's entry was made (its id) minus the due instant: what a worker would see.
Full occurrence records are written. No worker runs, so the runs stay on their stream, and overlap `allow` lets them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from latency import cpu_seconds, start, wait_until
from registering import register_all
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.bench.tasks import read_lateness
from jobistemer.core.jobs.job import Job, Overlap, Task
from jobistemer.core.schedules import Cron


def build_job(number: int) -> Job:
    name = f"job-{number}"
    return Job(name, Cron("* * * * * *"), (Task(name, name),), overlap=Overlap.ALLOW, history_s=600)


def measure(server: BenchServer, jobs: int, tickers: int, seconds: int) -> dict[str, float]:
    client = client_of(server.url)
    client.flushall()
    app = Jobistemer(server.url)
    # Undecided instants begin when all are registered and the tickers are up: there is nothing to catch up with.
    begin = int(time.time()) + 4 + jobs // 2000
    register_all(app.namespace.shards[0], map(build_job, range(jobs)), begin)
    processes = [start("ticker", server.url) for _ in range(tickers)]
    wait_until(lambda: client.zcard("{jobistemer:0}:tickers") == tickers)
    first = begin + 3
    assert time.time() < begin, "registering took too long for this machine: what follows would be catching up"
    time.sleep(first - 0.1 - time.time())
    cpu = {process.pid: cpu_seconds(process.pid) for process in processes}
    server_cpu = server.cpu_seconds()
    time.sleep(first + seconds - 0.1 - time.time())
    spent = [cpu_seconds(pid) - before for pid, before in cpu.items()]
    server_spent = server.cpu_seconds() - server_cpu
    time.sleep(1)
    late = read_lateness(app.namespace, (build_job(number).name for number in range(jobs)), range(first, first + seconds))
    for process in processes:
        process.terminate()
        process.wait()
    expected = jobs * seconds
    cuts = statistics.quantiles(late, n=1000)
    return {
        "jobs": jobs,
        "fired %": round(100 * len(late) / expected, 2),
        "p50 ms": statistics.median(late),
        "p99 ms": round(cuts[989], 1),
        "max ms": max(late),
        "tickers' CPU µs per instant": round(sum(spent) / expected * 1e6, 1),
        "server CPU µs per instant": round(server_spent / expected * 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--tickers", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=15)
    args = parser.parse_args()
    with BenchServer() as server:
        for jobs in args.jobs:
            print(json.dumps(measure(server, jobs, args.tickers, args.seconds), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
