"""What durable handlers cost: a step, a suspended run, and the waking of many runs at one second.

python benchmarks/durable.py [--steps 20] [--runs 2000] [--sleepers 100000] [--concurrency 64]

Steps: the same runs once with steps and once without, in one worker; the difference of the CPU times is that of the steps.
Sleepers: a hundred thousand runs sleep until one second; beside them another call is enqueued every 20 ms to a worker of
its own, and its latency is measured before and meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import redis
from latency import URL_VARIABLE
from server import BenchServer, client_of

from jobistemer import Context, Jobistemer, RunHandle
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.worker import Worker

BATCH = 1_000
PROBE_EVERY_S = 0.02


def build_app(url: str) -> Jobistemer:
    """The app of all processes of the benchmark."""
    app = Jobistemer(url)

    @app.task
    async def steps(count: int, ctx: Context) -> None:
        for number in range(count):
            await ctx.step_async("noop", noop, key=number)

    @app.task
    def thread_steps(count: int, ctx: Context) -> None:
        for number in range(count):
            ctx.step("noop", plain, key=number)

    @app.task(queue="sleepers")
    async def sleeper(wake_at: float, ctx: Context) -> float:
        await ctx.sleep_async(until=datetime.fromtimestamp(wake_at, UTC))
        return time.time() - wake_at

    @app.task(queue="probes")
    async def probe(sent_at: float) -> float:
        return time.time() - sent_at

    return app


async def noop() -> None:
    """A step of no work."""


def plain() -> None:
    """The same as a plain function."""


def work(task: str, concurrency: int) -> None:
    """What the process of a worker does: drain a queue, then say what it cost."""
    app = build_app(os.environ[URL_VARIABLE])
    app.namespace.connect()
    started, cpu = time.perf_counter(), time.process_time()
    settings = WorkerSettings(concurrency=concurrency, burst=True, queues={"default": 1})
    Worker(app.namespace, app.handlers, settings).run(Shutdown())
    print(json.dumps({"task": task, "seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}))


def child(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, *arguments], env={**os.environ, URL_VARIABLE: url}, stdout=subprocess.PIPE, text=True
    )


def server_cpu(url: str) -> float:
    found = client_of(url).info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def measure_steps(server: BenchServer, task: str, runs: int, steps: int, concurrency: int) -> dict[str, float]:
    """The cost of runs with so many steps each: CPU seconds of worker and server, and seconds in all."""
    app = build_app(server.url)
    for start in range(0, runs, BATCH):
        app.enqueue_many([app.request(task, {"count": steps}) for _ in range(min(BATCH, runs - start))])
    before = server_cpu(server.url)
    output, _ = child(server.url, "--work", task, "--concurrency", str(concurrency)).communicate()
    found = json.loads(output.splitlines()[-1])
    return {"worker": found["cpu"], "server": server_cpu(server.url) - before, "seconds": found["seconds"]}


def compare_steps(server: BenchServer, args: argparse.Namespace) -> None:
    for task, concurrency in (("steps", args.concurrency), ("thread_steps", 16)):
        without = measure_steps(server, task, args.runs, 0, concurrency)
        found = measure_steps(server, task, args.runs, args.steps, concurrency)
        count = args.runs * args.steps
        cost = {name: (found[name] - without[name]) / count * 1e6 for name in ("worker", "server")}
        rate = count / max(found["seconds"] - without["seconds"], 1e-9)
        print(f"{task}: worker {cost['worker']:.1f} µs and server {cost['server']:.1f} µs a step, {rate:,.0f} steps/s")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure_sleepers(server: BenchServer, sleepers: int) -> None:
    """Let runs sleep until one second, and measure how late they are and what other work feels of it."""
    app = build_app(server.url)
    client = client_of(server.url)
    wake_at = time.time() + 25 + sleepers / 2_500
    with app.running(ticker=True):
        workers = [child(server.url, "--serve", "sleepers"), child(server.url, "--serve", "probes")]
        try:
            handles = []
            for start in range(0, sleepers, BATCH):
                calls = [app.request("sleeper", {"wake_at": wake_at}) for _ in range(min(BATCH, sleepers - start))]
                handles += app.enqueue_many(calls)
            while client.zcard("{jobistemer:0}:delayed") < sleepers:
                time.sleep(0.2)
            print(f"{sleepers:,} suspended {wake_at - time.time():.0f} s before their time")
            print(
                f"a suspended run has {find_size(client, 'run', handles):,.0f} bytes, and its steps {find_size(client, 'steps', handles):,.0f}"
            )
            before = probe(app, min(5.0, wake_at - 3 - time.time()))
            time.sleep(max(0.0, wake_at - 0.5 - time.time()))
            meanwhile = probe(app, 8.0)
            late = [each.result(timeout=120) for each in handles[:: max(1, sleepers // 5_000)]]
        finally:
            for each in workers:
                each.terminate()
                each.wait()
    for name, values in (("other work before", before), ("other work meanwhile", meanwhile)):
        print(f"{name}: p50 {percentile(values, 0.5) * 1000:.1f} ms, p99 {percentile(values, 0.99) * 1000:.1f} ms")
    print(
        f"sleepers: p50 {percentile(late, 0.5):.2f} s, p99 {percentile(late, 0.99):.2f} s, last {max(late):.2f} s late"
    )


def find_size(client: redis.Redis, kind: str, handles: list[RunHandle[Any]]) -> float:
    """The median of a hundred records: the allocator gives each of them a little more than it needs."""
    some = handles[:: max(1, len(handles) // 100)]
    # Without an estimate from a few fields: one of them is as long as all others together.
    return median(client.memory_usage(f"{{jobistemer:0}}:{kind}:{each.id}", samples=0) or 0 for each in some)


def probe(app: Jobistemer, seconds: float) -> list[float]:
    """Enqueue calls one by one; how long each took from its enqueueing to its start."""
    handles, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        handles.append(app.enqueue("probe", {"sent_at": time.time()}))
        time.sleep(PROBE_EVERY_S)
    return [each.result(timeout=60) for each in handles]


def serve(queue: str) -> None:
    """What the process of a worker does that serves one queue until it is ended."""
    app = build_app(os.environ[URL_VARIABLE])
    shutdown = Shutdown()
    signal.signal(signal.SIGTERM, lambda *_: shutdown.request())
    Worker(app.namespace, app.handlers, WorkerSettings(concurrency=64, queues={queue: 1})).run(shutdown)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--sleepers", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--work", default="")
    parser.add_argument("--serve", default="")
    args = parser.parse_args()
    if args.work:
        work(args.work, args.concurrency)
    elif args.serve:
        serve(args.serve)
    else:
        with BenchServer() as server:
            compare_steps(server, args)
        with BenchServer() as server:
            measure_sleepers(server, args.sleepers)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
