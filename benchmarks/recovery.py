"""Catching up after a long outage: 10,000 missed instants are worked off at the set rate while other jobs stay on time.

    python benchmarks/recovery.py [--missed 10000] [--rate 500] [--pulses 50] [--tickers 2]

Real processes on an embedded server: tickers and one worker. The outage is made by moving a job's cursor back.
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
from jobistemer.store.database import Database
from jobistemer.store.reads.records import find_occurrences

URL_VARIABLE = "JOBISTEMER_URL"


def build_app(url: str, pulses: int, rate: float) -> Jobistemer:
    app = Jobistemer(url)
    for number in range(pulses):

        @app.job("* * * * * *", name=f"pulse{number}", overlap="allow")
        def pulse() -> None: ...

    @app.job("* * * * * *", name="backlog", overlap="allow", recovery="execute_all", catch_up_per_s=rate, grace_s=5)
    def backlog() -> None: ...

    return app


def start(module: str, url: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, URL_VARIABLE: url},
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def history(database: Database, job_id: str) -> list[bytes]:
    return database.client.zrange(database.keys.history(job_id), 0, -1)


def measure(missed: int, rate: float, pulses: int, tickers: int) -> dict[str, object]:
    with BenchServer() as server:
        app = build_app(server.url, pulses, rate)
        app.deploy()
        database = app.namespace.shards[0]
        job = app.declarations["backlog"].build()
        now = database.read_clock() // 1000
        database.client.hset(database.keys.job(job.id), "cursor", now - missed)
        database.client.zadd(database.keys.due, {job.id: (now - missed + 1) * 1000})
        os.environ.update({"PULSES": str(pulses), "RATE": str(rate)})
        processes = [start("jobistemer.cli.commands.ticker", server.url) for _ in range(tickers)]
        processes.append(start("jobistemer.cli.commands.worker", server.url, "recovery:app"))
        began = time.monotonic()
        try:
            while int(database.client.hget(database.keys.job(job.id), "cursor")) < now:
                time.sleep(0.05)
            took = time.monotonic() - began
            time.sleep(2)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
        late = [
            record.late_ms
            for name, declared in app.declarations.items()
            if name != "backlog"
            for record in find_occurrences(database, [each.decode() for each in history(database, declared.build().id)])
        ]
        rows = history(database, job.id)
        ran = find_occurrences(database, [each.decode() for each in rows])
        return {
            "missed": missed,
            "rows": sum(record.due <= now for record in ran),
            "completed": sum(record.state == "completed" for record in ran if record.due <= now),
            "set rate/s": rate,
            "rate/s": round(missed / took, 1),
            "took s": round(took, 1),
            "pulses": len(late),
            "late ms p50": statistics.median(late),
            "late ms p99": sorted(late)[int(len(late) * 0.99)],
            "late ms max": max(late),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missed", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--pulses", type=int, default=50)
    parser.add_argument("--tickers", type=int, default=2)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.missed, chosen.rate, chosen.pulses, chosen.tickers), indent=2))


if __name__ == "__main__":
    main()
else:
    app = build_app(os.environ[URL_VARIABLE], int(os.environ["PULSES"]), float(os.environ["RATE"]))
