"""Schedules due every second: are all fired, once, and how late?

    python benchmarks/due.py [--jobs 100 1000 10000] [--tickers 3] [--seconds 15]

Lateness is the server's time when the run's entry was made (its id) minus the due instant: what a worker would see.
Full occurrence records are written. No worker runs, so the runs stay on their stream, and overlap `allow` lets them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from latency import cpu_seconds, wait_until
from registering import register_all
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.core import ids
from jobistemer.core.models import Job, Overlap, Task
from jobistemer.core.schedules import Cron

URL_VARIABLE = "JOBISTEMER_URL"


def job(number: int) -> Job:
    name = f"job-{number}"
    return Job(name, Cron("* * * * * *"), (Task(name, name),), overlap=Overlap.ALLOW, history_s=600)


def ticker() -> None:
    from jobistemer.core.settings import TickerSettings
    from jobistemer.runtime.stopping import Stopping
    from jobistemer.ticker import Ticker

    stopping = Stopping()
    stopping.listen()
    Ticker(Jobistemer(os.environ[URL_VARIABLE]).namespace, TickerSettings()).run(stopping)


def measure(server: BenchServer, jobs: int, tickers: int, seconds: int) -> dict[str, float]:
    client = client_of(server.url)
    client.flushall()
    app = Jobistemer(server.url)
    # Undecided instants begin when all are registered and the tickers are up: there is nothing to catch up with.
    begin = int(time.time()) + 4 + jobs // 2000
    register_all(app.namespace.shards[0], map(job, range(jobs)), begin)
    env = {**os.environ, URL_VARIABLE: server.url}
    processes = [subprocess.Popen([sys.executable, __file__, "--role", "ticker"], env=env) for _ in range(tickers)]
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
    late = lateness(app, jobs, range(first, first + seconds))
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


def lateness(app: Jobistemer, jobs: int, instants: range) -> list[int]:
    database = app.namespace.shards[0]
    late = []
    for number in range(jobs):
        job_id = ids.job_id(f"job-{number}")
        task = ids.task_id(job_id, f"job-{number}")
        runs = [ids.run_id(ids.occurrence_id(job_id, at), task) for at in instants]
        entries = database.ask_all([("HGET", database.keys.run(run), "entry") for run in runs])
        late += [int(entry.split(b"-")[0]) - at * 1000 for at, entry in zip(instants, entries, strict=True) if entry]
    return late


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--tickers", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--role", choices=["ticker"])
    args = parser.parse_args()
    if args.role:
        ticker()
        return
    with BenchServer() as server:
        for jobs in args.jobs:
            print(json.dumps(measure(server, jobs, args.tickers, args.seconds), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
