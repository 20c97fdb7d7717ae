"""Drain runs that tickers have fired: a worker `-c 8` ends tasks and their occurrences, with full records.

python benchmarks/scheduled.py [--jobs 10000] [--seconds 6]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from due import build_job
from latency import URL_VARIABLE, start
from registering import register_all
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.worker import Worker

STREAM = "{jobistemer:0}:stream:default:5"


def run_worker(jobs: int) -> None:
    """What the worker's process does: drain, then say what it cost."""
    app = Jobistemer(os.environ[URL_VARIABLE])
    for number in range(jobs):
        app.task(name=f"job-{number}")(lambda: None)
    app.namespace.connect()
    started, cpu = time.perf_counter(), time.process_time()
    Worker(app.namespace, app.handlers, WorkerSettings(concurrency=8, burst=True)).run(Shutdown())
    print(json.dumps({"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}))


def fire(server: BenchServer, jobs: int, seconds: int) -> None:
    """Leave `seconds` instants of every job on the stream."""
    begin = int(time.time()) + 4 + jobs // 2000
    register_all(Jobistemer(server.url).namespace.shards[0], map(build_job, range(jobs)), begin)
    ticker = start("ticker", server.url)
    time.sleep(begin + seconds + 0.5 - time.time())
    ticker.terminate()
    ticker.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--work", action="store_true")
    args = parser.parse_args()
    if args.work:
        run_worker(args.jobs)
        return
    with BenchServer() as server:
        fire(server, args.jobs, args.seconds)
        client = client_of(server.url)
        waiting, server_cpu = client.xlen(STREAM), server.cpu_seconds()
        command = [sys.executable, __file__, "--work", "--jobs", str(args.jobs)]
        env = {**os.environ, URL_VARIABLE: server.url}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        runs, spent = waiting - client.xlen(STREAM), json.loads(done.stdout)
        print(
            f"{runs:,} runs: {runs / spent['seconds']:,.0f} runs/s, worker {spent['cpu'] / runs * 1e6:.1f} µs, "
            f"server {(server.cpu_seconds() - server_cpu) / runs * 1e6:.1f} µs per run"
        )


if __name__ == "__main__":
    main()
