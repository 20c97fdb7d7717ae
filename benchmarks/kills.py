"""How soon the run of a killed worker is with another one: single kills, and takers-over that are killed as well.

    python benchmarks/kills.py [--leases 2,5,15] [--kills 5] [--chain 4]

Real processes on an embedded server: three workers of eight slots, and a call that waits for ever in its first attempts.
Whoever executes it is killed with SIGKILL and replaced. *Taken over*: from the kill to the record of the lost attempt, by
the clock of the server, which is this machine's. *Begun*: to the first line of the handler in the next attempt, with the
start of the process in which a suspect is executed. In a chain each taker-over is killed as soon as it has begun.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from server import BenchServer

from jobistemer.app import Jobistemer
from jobistemer.core.handlers.context import Context
from jobistemer.core.jobs.options import Options
from jobistemer.core.settings import WorkerSettings
from jobistemer.store.reads import records

WORKERS = 3
MARKS = "BENCH_MARKS"


def build_app(url: str) -> Jobistemer:
    app = Jobistemer(url, defaults=Options(max_crashes=100))

    @app.task(timeout_s=3600)
    def wait(context: Context, attempts: int) -> None:
        """Say who executes it and wait; the attempt of that number returns."""
        with Path(os.environ[MARKS]).open("a") as marks:
            marks.write(f"{context.run} {context.attempt} {os.getpid()} {os.getppid()} {time.time()}\n")
        if context.attempt < attempts:
            time.sleep(3600)

    return app


class Workers:
    """Three workers; who is killed is replaced."""

    def __init__(self, url: str, lease_s: float, marks: Path) -> None:
        self._environment = {**os.environ, "JOBISTEMER_URL": url, MARKS: str(marks)}
        self._lease_s = lease_s
        self._marks = marks
        self._processes = [self._start() for _ in range(WORKERS)]

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "jobistemer.cli.commands.worker", "kills:app", "-c", "8"]
        return subprocess.Popen(
            [*command, "--lease", str(self._lease_s)],
            env=self._environment,
            cwd=Path(__file__).parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait_for(self, run: str, attempt: int) -> tuple[set[int], float]:
        """Wait until an attempt has begun; the processes that may be its worker, and when it began."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            lines = [line.split() for line in self._marks.read_text().splitlines()] if self._marks.exists() else []
            for name, number, pid, parent, at in lines:
                if (name, int(number)) == (run, attempt):
                    return {int(pid), int(parent)}, float(at)
            time.sleep(0.01)
        raise TimeoutError(f"attempt {attempt} of {run} has not begun")

    def kill(self, pids: set[int]) -> float:
        """Kill the worker that is among these processes and start another one; when it was killed."""
        at = next(at for at, process in enumerate(self._processes) if process.pid in pids)
        self._processes[at].kill()
        killed_at = time.time()
        self._processes[at].wait()
        self._processes[at] = self._start()
        return killed_at

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def measure(lease_s: float, chains: int, length: int) -> dict[str, object]:
    """Measure so many chains of so many kills."""
    taken, begun = [], []
    with BenchServer() as server, tempfile.TemporaryDirectory() as folder:
        app = build_app(server.url)
        database = app.namespace.shards[0]
        workers = Workers(server.url, lease_s, Path(folder, "marks"))
        try:
            for _ in range(chains):
                while len(database.client.zrangebyscore(database.keys.workers, "-inf", "+inf")) < WORKERS:
                    time.sleep(0.05)
                # All of them have beaten for a while: what is measured is no start.
                time.sleep(5)
                run = app.enqueue("wait", {"attempts": length}).id
                pids, _ = workers.wait_for(run, 0)
                for attempt in range(length):
                    killed_at = workers.kill(pids)
                    pids, began_at = workers.wait_for(run, attempt + 1)
                    lost = records.find_attempts(database, records.find_run(database, run))[attempt]
                    taken.append(round(lost.ended_at / 1000 - killed_at, 2))
                    begun.append(round(began_at - killed_at, 2))
        finally:
            workers.end()
    beat_s = min(WorkerSettings().beat_s, lease_s / 3)
    return {
        "lease s": lease_s,
        "kills": f"{chains} chains of {length}" if length > 1 else chains,
        "goal s": round((lease_s + beat_s + 0.5) * (2 if length > 1 else 1), 2),
        "taken over s": statistics.median(taken),
        "begun s": statistics.median(begun),
        "each taken over": taken,
        "each begun": begun,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leases", default="2,5,15")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--chain", type=int, default=4, help="length of the chain; 0 for none")
    chosen = parser.parse_args()
    for lease_s in map(float, chosen.leases.split(",")):
        print(json.dumps(measure(lease_s, chosen.kills, 1)), flush=True)
        if chosen.chain:
            print(json.dumps(measure(lease_s, 1, chosen.chain)), flush=True)


if __name__ == "__main__":
    main()
else:
    app = build_app(os.environ["JOBISTEMER_URL"])
