"""What a take-over costs: how long it takes with many runs in flight, and what the suspects cost the worker.

    python benchmarks/take_over.py [--runs 10000] [--repeats 5]     seconds from "known to be dead" to the last run
    python benchmarks/take_over.py --suspects 20                    processes and MiB of the worker that takes over

A consumer takes the runs and is never heard of again. For the first, its runs are taken over by the code of a worker in
this process, timed from the moment at which the worker is known to be dead. For the second, a real worker executes them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from server import BenchServer

from jobistemer.app import Jobistemer
from jobistemer.runtime.process_info import read_memory_mib
from jobistemer.store.calls import heartbeats, streams
from jobistemer.store.database import Database
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.commit.effects import CommitEffects
from jobistemer.worker.lease.reclaim import Reclaimer

PLACE = "default:5"
VICTIM = "victim"
BEAT_S = 0.75


def build_app(url: str) -> Jobistemer:
    app = Jobistemer(url)

    @app.task
    def work(seconds: float = 0.0) -> None:
        time.sleep(seconds)

    return app


def die_with(app: Jobistemer, runs: int, seconds: float) -> Database:
    """Let a consumer take so many runs and die: its only beat is long ago."""
    database = app.namespace.shards[0]
    app.enqueue_many(app.request("work", {"seconds": seconds}) for _ in range(runs))
    reader, taken = streams.StreamReader(database, VICTIM), 0
    while taken < runs:
        taken += sum(len(entries) for _, entries in reader.fetch([PLACE], 1000, block=False))
    heartbeats.register_silent_worker(database, VICTIM)
    return database


def take_over(runs: int) -> tuple[float, float]:
    """Return the seconds in which so many runs were put back onto their stream, and those of the processors in all."""
    with BenchServer() as server:
        database = die_with(build_app(server.url), runs, 0.0)
        reclaimer = Reclaimer(database, BEAT_S, CommitEffects(DefinitionCache()), reconnect_s=0.0)
        reclaimer.observe({VICTIM: 0}, [PLACE])
        time.sleep(BEAT_S)
        began, used, taken = time.perf_counter(), time.process_time() + server.cpu_seconds(), 0
        while taken < runs:
            taken += reclaimer.observe({VICTIM: 0}, [PLACE], time.monotonic() + BEAT_S)
        return time.perf_counter() - began, time.process_time() + server.cpu_seconds() - used


def process_tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    threads = [each for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()]
    return [pid, *{int(each) for each in (*children, *threads)}]


def watch_suspects(suspects: int) -> dict[str, object]:
    """Let a real worker take over runs of half a second each, and return the most that it needed."""
    with BenchServer() as server:
        database = die_with(build_app(server.url), suspects, 0.5)
        command = [sys.executable, "-m", "jobistemer.cli.commands.worker", "take_over:app", "-c", "20", "--lease", "2"]
        environment = {**os.environ, "JOBISTEMER_URL": server.url}
        worker = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
        most_processes, most_mib, idle_mib, began = 0, 0.0, 0.0, time.monotonic()
        try:
            while database.client.xlen(database.keys.stream(PLACE)):
                tree = process_tree(worker.pid)
                mib = sum(map(read_memory_mib, tree))
                idle_mib = mib if len(tree) == 1 else idle_mib
                most_processes, most_mib = max(most_processes, len(tree)), max(most_mib, mib)
                time.sleep(0.05)
            took = time.monotonic() - began
        finally:
            worker.terminate()
            worker.wait()
    return {
        "suspects": suspects,
        "processes": most_processes,
        "MiB": round(most_mib),
        "MiB before": round(idle_mib),
        "seconds until all are done": round(took, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--suspects", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.suspects:
        print(json.dumps(watch_suspects(chosen.suspects)))
        return
    took, used = zip(*(take_over(chosen.runs) for _ in range(chosen.repeats)), strict=True)
    found = {"runs": chosen.runs, "median s": statistics.median(took), "processors s": statistics.median(used)}
    print(json.dumps({**found, "each": sorted(took)}, default=str))


if __name__ == "__main__":
    main()
else:
    app = build_app(os.environ["JOBISTEMER_URL"])
