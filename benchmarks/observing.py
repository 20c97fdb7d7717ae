"""What being observed costs a worker: CPU for a no-op run without, with metrics, and with traces that go nowhere.

python benchmarks/observing.py [--runs 50000] [--rounds 3] [--what off metrics traces]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

from opentelemetry.sdk.trace import TracerProvider
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.bench.tasks import build_app
from jobistemer.contrib import opentelemetry
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.worker import Worker
from jobistemer.worker.attempts.metrics import AttemptMetrics

WHAT = ("off", "metrics", "traces")


def build_observed_app(what: str, url: str) -> Jobistemer:
    app = build_app(url)
    if what == "traces":
        opentelemetry.install(app, TracerProvider())
    return app


def run_worker(what: str) -> None:
    """What the worker's process does: drain, then say what it cost."""
    app = build_observed_app(what, os.environ["JOBISTEMER_URL"])
    app.namespace.connect()
    settings, attempt_metrics = (
        WorkerSettings(concurrency=8, burst=True),
        AttemptMetrics() if what == "metrics" else None,
    )
    worker = Worker(app.namespace, app.handlers, settings, app.plugins, attempt_metrics)
    cpu = time.process_time()
    worker.run(Shutdown())
    print(time.process_time() - cpu)


def drain(server: BenchServer, what: str, runs: int) -> tuple[float, float]:
    """CPU µs for a run: of who enqueues it, and of its worker."""
    client_of(server.url).flushall()
    app = build_observed_app(what, server.url)
    cpu = time.process_time()
    app.enqueue_many(app.request("plain") for _ in range(runs))
    enqueued = time.process_time() - cpu
    env = {**os.environ, "JOBISTEMER_URL": server.url}
    command = [sys.executable, __file__, "--work", what]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return enqueued / runs * 1e6, float(done.stdout.splitlines()[-1]) / runs * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--what", choices=WHAT, nargs="*", default=WHAT)
    parser.add_argument("--work", choices=WHAT)
    args = parser.parse_args()
    if args.work:
        run_worker(args.work)
        return
    with BenchServer() as server:
        # In turn, so that what else the machine does meets all of them alike.
        rounds = [{what: drain(server, what, args.runs) for what in args.what} for _ in range(args.rounds)]
    for what in args.what:
        enqueue, run = (statistics.median(each[what][at] for each in rounds) for at in (0, 1))
        print(f"{what:8} enqueue {enqueue:5.1f} µs, worker {run:5.1f} µs")


if __name__ == "__main__":
    main()
