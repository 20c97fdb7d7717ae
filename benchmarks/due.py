"""Schedules due every second: are all fired, once, and how late?

    python benchmarks/due.py [--jobs 100 1000 10000] [--tickers 3] [--seconds 15] [--start] [--sketch]

Lateness is the server's time when the run's entry was made (its id) minus the due instant: what a worker would see.
Full occurrence records are written. No worker runs, so the runs stay on their stream, and overlap `allow` lets them.

With `--restart` one ticker is ended and another started each second, in turn, by SIGTERM.
With `--start` one worker runs the tasks, and lateness is taken at the first line of the task. With `--sketch` the same
number of instants is fired by hand as well: a heap, and one script for 250 due members that moves their marks and makes
their entries, with nothing on record. That is what the wire allows on this machine at this time.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import redis
from latency import URL_VARIABLE, cpu_seconds, start, wait_until
from registering import register_all
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.bench.tasks import read_lateness
from jobistemer.core.jobs.job import Job, Overlap, Task
from jobistemer.core.schedules import Cron
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.process import ProcessOptions, prepare_process
from jobistemer.worker import Worker

SKETCH_BATCH = 250
SKETCH = """
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], ARGV[1] + 1000, ARGV[i])
  redis.call('XADD', KEYS[2], '*', 'm', ARGV[i], 'due', ARGV[1])
end
"""


def build_job(number: int) -> Job:
    name = f"job-{number}"
    return Job(name, Cron("* * * * * *"), (Task(name, name),), overlap=Overlap.ALLOW, history_s=600)


def work(jobs: int) -> None:
    """What the worker's process does: run until a signal, then tell when each task began, in ns of the wall clock."""
    app, began = Jobistemer(os.environ[URL_VARIABLE]), list[int]()
    for number in range(jobs):
        app.task(name=f"job-{number}")(lambda: began.append(time.time_ns()))
    app.namespace.connect()
    shutdown = prepare_process(ProcessOptions(log_level="warning"))
    Worker(app.namespace, app.handlers, WorkerSettings(concurrency=8)).run(shutdown)
    print(json.dumps(began))


def start_worker(url: str, jobs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--work", str(jobs)]
    return subprocess.Popen(command, env={**os.environ, URL_VARIABLE: url}, stdout=subprocess.PIPE)


def measure(
    server: BenchServer, jobs: int, tickers: int, seconds: int, *, with_worker: bool, restart: bool = False
) -> dict[str, object]:
    client = client_of(server.url)
    client.flushall()
    app = Jobistemer(server.url)
    app.namespace.connect()
    with ExitStack() as stack:
        # A list of its own, since a ticker that is restarted takes another place in it.
        processes = [stack.enter_context(ending(start("ticker", server.url))) for _ in range(tickers)]
        worker = stack.enter_context(ending(start_worker(server.url, jobs))) if with_worker else None
        wait_until(lambda: client.zcard("{jobistemer:0}:tickers") == tickers)
        wait_until(lambda: worker is None or client.zcard("{jobistemer:0}:workers") == 1)
        # Undecided instants begin when all are registered and the processes are up: there is nothing to catch up with.
        begin = int(time.time()) + 3 + jobs // 1000
        register_all(app.namespace.shards[0], map(build_job, range(jobs)), begin)
        assert time.time() < begin, "registering took too long for this machine: what follows would be catching up"
        if restart:
            stack.enter_context(restarting(server, processes))
        return observe(server, app, jobs, begin + 3, seconds, processes, worker)


@contextmanager
def restarting(server: BenchServer, processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Each second, at another part of it, another ticker ends and a new one starts."""
    stop = threading.Event()

    def restart() -> None:
        while not stop.wait(1.03):
            ended = processes.pop(0)
            ended.terminate()
            ended.wait()
            processes.append(start("ticker", server.url))

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for process in processes:
            process.terminate()
            process.wait()


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def observe(
    server: BenchServer,
    app: Jobistemer,
    jobs: int,
    first: int,
    seconds: int,
    processes: Sequence[subprocess.Popen[bytes]],
    worker: subprocess.Popen[bytes] | None,
) -> dict[str, object]:
    time.sleep(first - 0.1 - time.time())
    worker_cpu = cpu_seconds(worker.pid) if worker is not None else 0.0
    cpu = {process.pid: cpu_seconds(process.pid) for process in processes if process.poll() is None}
    server_cpu = server.cpu_seconds()
    time.sleep(first + seconds - 0.1 - time.time())
    # Those that were restarted meanwhile are not counted.
    alive = {process.pid for process in processes if process.poll() is None}
    spent = [cpu_seconds(pid) - before for pid, before in cpu.items() if pid in alive]
    server_spent = server.cpu_seconds() - server_cpu
    worker_spent = cpu_seconds(worker.pid) - worker_cpu if worker is not None else 0.0
    time.sleep(1)
    late: Sequence[float]
    if worker is not None:
        worker.terminate()
        assert worker.stdout is not None
        stamps = [stamp / 1e6 for stamp in json.loads(worker.stdout.read())]
        worker.wait()
        late = [stamp % 1000 for stamp in stamps if first * 1000 <= stamp < (first + seconds) * 1000]
    else:
        names = (build_job(number).name for number in range(jobs))
        late = read_lateness(app.namespace, names, range(first, first + seconds))
    expected = jobs * seconds
    return {
        "jobs": jobs,
        "until": "stream" if worker is None else "first line",
        "done %": round(100 * len(late) / expected, 2),
        **summarize(late),
        "tickers' CPU µs per instant": round(sum(spent) / expected * 1e6, 1),
        "server CPU µs per instant": round(server_spent / expected * 1e6, 1),
        "worker CPU µs per instant": round(worker_spent / expected * 1e6, 1),
    }


def summarize(late: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(late, n=1000)
    return {
        "p50 ms": round(statistics.median(late), 1),
        "p99 ms": round(cuts[989], 1),
        "max ms": round(max(late), 1),
    }


def measure_sketch(server: BenchServer, jobs: int, seconds: int) -> dict[str, object]:
    """Fire by hand: how late the entries are."""
    client = client_of(server.url)
    client.flushall()
    fire, first = client.register_script(SKETCH), int(time.time()) + 2
    heap = [(first * 1000, f"job-{number}") for number in range(jobs)]
    end_ms = (first + seconds) * 1000
    while heap and heap[0][0] < end_ms:
        due_ms = heap[0][0]
        time.sleep(max(0.0, due_ms / 1000 - time.time()))
        while heap and heap[0][0] == due_ms:
            part = [heapq.heappop(heap)[1] for _ in range(min(SKETCH_BATCH, len(heap))) if heap[0][0] == due_ms]
            fire(keys=("due", "stream"), args=(due_ms, *part))
            for name in part:
                heapq.heappush(heap, (due_ms + 1000, name))
    late = [float(entry.decode().partition("-")[0]) - int(fields[b"due"]) for entry, fields in read_entries(client)]
    return {
        "jobs": jobs,
        "until": "stream, sketch",
        "done %": round(100 * len(late) / jobs / seconds, 2),
        **summarize(late),
    }


def read_entries(client: redis.Redis) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return client.xrange("stream")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--tickers", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--sketch", action="store_true")
    parser.add_argument("--work", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work)
        return
    with BenchServer() as server:
        for jobs in args.jobs:
            found = [measure(server, jobs, args.tickers, args.seconds, with_worker=args.start, restart=args.restart)]
            if args.sketch:
                found.append(measure_sketch(server, jobs, args.seconds))
            for each in found:
                print(json.dumps(each, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
