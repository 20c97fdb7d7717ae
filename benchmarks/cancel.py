"""How long a cancel takes to reach work, wherever it is, and an idle worker to end.

    python benchmarks/cancel.py [--rounds 20]

Times are the server's: from the request, as its run's record has it, to the recorded end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from server import BenchServer

from jobistemer.app import Jobistemer
from jobistemer.app.handles import RunHandle

app = Jobistemer()
HELD_S = 3_600


@app.task
def thread() -> None:
    for _ in range(HELD_S * 20):
        time.sleep(0.05)


@app.task
async def coroutine() -> None:
    await asyncio.sleep(HELD_S)


@app.task(executor="process")
def process() -> None:
    time.sleep(HELD_S)


@app.task
def quick() -> None: ...


def start_worker(url: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A worker that has done something."""
    here = Path(__file__).resolve()
    env = {**os.environ, "JOBISTEMER_URL": url, "PYTHONPATH": f"{here.parent.parent}:{here.parent}"}
    command = [sys.executable, "-m", "jobistemer.cli.commands.worker", "cancel:app", "--grace", "0", *arguments]
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until(what: Callable[[], object]) -> None:
    while not what():
        time.sleep(0.001)


def measure_cancel_ms(run: RunHandle[object]) -> int:
    """Cancel a run at any moment of a worker's beat; from the request to its end."""
    time.sleep(random.random())
    asked = run._namespace.shards[0].read_clock()
    run.cancel()
    wait_until(lambda: run.state() == "canceled")
    return run.record().ended_at - asked


def enqueue_running(client: Jobistemer, task: str) -> RunHandle[object]:
    run = client.enqueue(task)
    wait_until(lambda: run.state() == "running")
    return run


def enqueue_fetched(client: Jobistemer) -> RunHandle[object]:
    """A run that the worker has fetched and that no slot is free for."""
    runs = client.enqueue_many(client.request("thread") for _ in range(60))
    database = client.namespace.shards[0]
    time.sleep(0.3)
    entries = [
        each[0].decode()
        for each in database.ask("XPENDING", database.keys.stream("default:5"), "workers", "-", "+", 100)
    ]
    held = [run for run in runs if run.record().entry in entries]
    return held[-1]


def print_times(what: str, times: list[float]) -> None:
    print(f"{what:32} median {statistics.median(times):6.0f} ms, longest {max(times):6.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with BenchServer() as server:
        client = Jobistemer(server.url)
        print_times("queued", [measure_cancel_ms(client.enqueue("thread", queue="nobody")) for _ in range(rounds)])
        print_times("delayed", [measure_cancel_ms(client.enqueue("thread", delay=3_600)) for _ in range(rounds)])
        worker = start_worker(server.url, "-c", "4")
        client.enqueue("quick").result(30)
        for task in ("thread", "coroutine", "process"):
            print_times(f"running, {task}", [measure_cancel_ms(enqueue_running(client, task)) for _ in range(rounds)])
        for _ in range(200):
            client.enqueue("quick").result(30)
        print_times("fetched, waiting for a slot", [measure_cancel_ms(enqueue_fetched(client))])
        worker.kill()
        worker.wait()
        client.namespace.shards[0].client.flushall()
        ends = []
        for _ in range(max(3, rounds // 4)):
            worker = start_worker(server.url)
            client.enqueue("quick").result(30)
            time.sleep(0.2 + random.random())
            asked = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            worker.wait()
            ends.append((time.monotonic() - asked) * 1000)
        print_times("SIGTERM to an idle worker's end", ends)


if __name__ == "__main__":
    main()
