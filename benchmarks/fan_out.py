"""Big fan-outs: `ctx.map` over many items beside a plain `enqueue_many` of as many, and how soon the reducer starts.

    python benchmarks/fan_out.py [--items 10000,100000] [--repeats 3]

Both are called in a handler of the same worker process, one after the other, while no worker takes the children: so both
have a process to themselves. Then another worker executes the children, and the reducer starts: from the end of the last
child, as recorded, to the first line of the reducer.
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
from jobistemer.core import ids
from jobistemer.core.handlers.context import Context
from jobistemer.core.runs.results import Results
from jobistemer.store.database import Database

LATER = "later"


def build_app(url: str) -> Jobistemer:
    app = Jobistemer(url)

    @app.task(queue=LATER)
    def leaf(number: int) -> None: ...

    @app.task(queue=LATER)
    def collect(results: Results[None]) -> float:
        return time.time()

    @app.task(timeout_s=600)
    def spread(context: Context, items: int) -> float:
        """Map; the seconds that it took."""
        began = time.perf_counter()
        context.map(leaf, ({"number": number} for number in range(items)), reduce=collect)
        return time.perf_counter() - began

    @app.task(timeout_s=600)
    def enqueue_plain(items: int) -> float:
        """Enqueue as many; the seconds that it took."""
        began = time.perf_counter()
        app.enqueue_many(leaf.request(number=number) for number in range(items))
        return time.perf_counter() - began

    return app


def start_worker(url: str, queue: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobistemer.cli.commands.worker", "fan_out:app", "-Q", queue]
    environment = {**os.environ, "JOBISTEMER_URL": url}
    return subprocess.Popen(command, env=environment, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)


def last_end_ms(database: Database, group: str, items: int) -> int:
    """When the last child ended."""
    latest = 0
    for first in range(0, items, 5000):
        runs = [ids.child_run_id(group, index) for index in range(first, min(first + 5000, items))]
        answers = database.read_all([("HGET", database.keys.run(run), "ended_at") for run in runs])
        latest = max(latest, *(int(each) for each in answers))
    return latest


def measure(items: int) -> dict[str, float]:
    """One round on a server of its own."""
    with BenchServer() as server:
        app, workers = build_app(server.url), [start_worker(server.url, "default")]
        database = app.namespace.shards[0]
        try:
            plain_s = app.enqueue("enqueue_plain", {"items": items}).result(timeout=600)
            database.client.delete(database.keys.stream(f"{LATER}:5"))
            parent = app.enqueue("spread", {"items": items})
            spread_s = parent.result(timeout=600)
            workers.append(start_worker(server.url, LATER))
            reducer = app.run(ids.reducer_run_id(parent.id, 0))
            started_s = reducer.result(timeout=600)
            reducer_ms = started_s * 1000 - last_end_ms(database, reducer.id, items)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    return {
        "plain/s": items / plain_s,
        "map/s": items / spread_s,
        "ratio": plain_s / spread_s,
        "reducer ms": reducer_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", default="10000,100000")
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    for items in map(int, chosen.items.split(",")):
        rounds = [measure(items) for _ in range(chosen.repeats)]
        medians = {name: round(statistics.median(each[name] for each in rounds), 2) for name in rounds[0]}
        print(
            json.dumps(
                {"items": items, **medians, "reducer ms, each": [round(each["reducer ms"], 1) for each in rounds]}
            )
        )


if __name__ == "__main__":
    main()
else:
    app = build_app(os.environ["JOBISTEMER_URL"])
