"""Two worker processes beside one, and a supervisor of two: runs/s and CPU per run.

    python benchmarks/scaling.py [--runs 100000] [--rounds 3]

Where the server and two workers have no core each, runs/s cannot grow; then CPU per run has to stay what it is.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from drain import URL_VARIABLE
from server import BenchServer, client_of

from jobistemer.bench.tasks import build_app

TASK = "plain"
app = build_app(os.environ[URL_VARIABLE]) if URL_VARIABLE in os.environ else None
COMMAND = [str(Path(sys.executable).with_name("jobistemer-worker")), "scaling:app", "-c", "8", "--burst"]


def drain_by(server: BenchServer, runs: int, commands: list[list[str]]) -> dict[str, float]:
    client_of(server.url).flushall()
    producer = build_app(server.url)
    producer.enqueue_many(producer.request(TASK) for _ in range(runs))
    env = {**os.environ, URL_VARIABLE: server.url, "PYTHONPATH": str(Path(__file__).parent)}
    database = producer.namespace.shards[0]
    stream = database.keys.stream("default:5")
    theirs, own = server.cpu_seconds(), resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = [
        subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands
    ]
    while database.ask("XLEN", stream) == runs:
        time.sleep(0.005)
    began, had = time.perf_counter(), database.ask("XLEN", stream)
    while database.ask("XLEN", stream) > 0 and any(worker.poll() is None for worker in workers):
        time.sleep(0.005)
    took = time.perf_counter() - began
    for worker in workers:
        worker.wait()
    left = database.ask("XLEN", stream)
    assert left == 0, f"{left} runs were left"
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = spent.ru_utime + spent.ru_stime - own.ru_utime - own.ru_stime
    return {
        "runs/s": had / took,
        "workers' µs/run": cpu / runs * 1e6,
        "server µs/run": (server.cpu_seconds() - theirs) / runs * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    settings = {
        "one worker": [COMMAND],
        "two workers": [COMMAND, COMMAND],
        "--processes 2": [[*COMMAND, "--processes", "2"]],
    }
    with BenchServer() as server:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in settings}
        for _ in range(args.rounds):
            for name, commands in settings.items():
                found[name].append(drain_by(server, args.runs, commands))
    print(f"{'':16}{'runs/s':>10}{'workers µs/run':>18}{'server µs/run':>16}   (start of the processes included in µs)")
    for name, rounds in found.items():
        speed, own, theirs = (statistics.median(each[key] for each in rounds) for key in rounds[0])
        print(f"{name:16}{speed:10.0f}{own:18.1f}{theirs:16.1f}")


if __name__ == "__main__":
    main()
