"""Short and long tasks on the same workers: are short ones parked behind long ones, and is work shared?

    python benchmarks/mixed.py [--seconds 30] [--shared 60]

Three workers -c 8 execute runs of 10 s, 15 at a time, so that slots are free at every moment, together with runs of 1 ms:
100 a second that are enqueued, and 20 jobs that are due each second. Lateness is measured until the first line of the handler.
Then two fresh workers -c 8 execute 20,000 no-ops, and get 60 runs of 1 s: 60 / 16 slots is 3.75 s.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from latency import wait_until
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.core.handlers.context import Context

JOBS = 20
LONG_S = 10.0
LONG_AT_A_TIME = 15
SHORT_S = 0.001

app = Jobistemer()
STATS = Path(os.environ.get("MIXED_STATS", ""))


def note(kind: str, seconds: float) -> None:
    with STATS.open("a") as file:
        file.write(f"{kind} {seconds:.6f} {os.getpid()}\n")


@app.task
def short(sent: float) -> None:
    note("short", time.monotonic() - sent)
    time.sleep(SHORT_S)


@app.task
def long(seconds: float) -> None:
    note("long", 0.0)
    time.sleep(seconds)


@app.task
def nothing() -> None: ...


def due(ctx: Context) -> None:
    note("due", time.time() - ctx.due_at.timestamp())
    time.sleep(SHORT_S)


for number in range(JOBS):
    app.job("* * * * * *", name=f"due-{number}", overlap="allow")(due)


FOLDER = Path(__file__).resolve().parent


@contextmanager
def processes(*commands: list[str]) -> Iterator[None]:
    found = [
        # Its own folder is where the workers find it as a module.
        subprocess.Popen([sys.executable, "-m", f"jobistemer.cli.commands.{each[0]}", *each[1:]], cwd=FOLDER)
        for each in commands
    ]
    try:
        yield
    finally:
        for process in found:
            process.send_signal(signal.SIGTERM)
        for process in found:
            process.wait()


def workers(count: int) -> list[list[str]]:
    return [["worker", "mixed:app", "-c", "8", "--grace", "1"]] * count


def read_stats() -> list[tuple[str, float, str]]:
    return [(kind, float(seconds), pid) for kind, seconds, pid in map(str.split, STATS.read_text().splitlines())]


def mix(seconds: float) -> dict[str, dict[str, float]]:
    app.deploy()
    with processes(*workers(3), ["ticker"]):
        wait_until(lambda: client_of(os.environ["JOBISTEMER_URL"]).zcard("{jobistemer:0}:workers") == 3)
        time.sleep(2)
        # What was due before the workers were there is no part of it.
        STATS.write_text("")
        end = time.monotonic() + seconds
        next_long = time.monotonic()
        while (now := time.monotonic()) < end:
            if now >= next_long:
                next_long += LONG_S / LONG_AT_A_TIME
                app.enqueue("long", {"seconds": LONG_S})
            app.enqueue("short", {"sent": time.monotonic()})
            time.sleep(0.01)
    found = {}
    for kind in ("short", "due"):
        late = [each * 1000 for name, each, _ in read_stats() if name == kind]
        cuts = statistics.quantiles(late, n=100)
        found[kind] = {
            "runs": len(late),
            "p50 ms": round(cuts[49], 1),
            "p99 ms": round(cuts[98], 1),
            "max ms": round(max(late), 1),
        }
    return found


def share(runs: int) -> dict[str, object]:
    """Runs of 1 s after many short ones: the seconds until all have ended, and how many each worker executed."""
    with processes(*workers(2)):
        wait_until(lambda: client_of(os.environ["JOBISTEMER_URL"]).zcard("{jobistemer:0}:workers") == 2)
        app.enqueue_many(app.request("nothing") for _ in range(20_000))
        wait_until(lambda: not client_of(os.environ["JOBISTEMER_URL"]).xlen("{jobistemer:0}:stream:default:5"))
        began = time.monotonic()
        handles = app.enqueue_many(app.request("long", {"seconds": 1.0}) for _ in range(runs))
        for handle in handles:
            handle.result(timeout=60)
        took = time.monotonic() - began
    counts = Counter(pid for kind, _, pid in read_stats() if kind == "long")
    return {"runs": runs, "seconds": round(took, 2), "of each worker": sorted(counts.values())}


def run_part(part: str, argument: str) -> None:
    print(part, mix(float(argument)) if part == "mix" else share(int(argument)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--shared", type=int, default=60)
    parser.add_argument("--part", nargs=2, help="for the processes that this one starts")
    args = parser.parse_args()
    if args.part:
        run_part(*args.part)
        return
    for part, argument in (("mix", args.seconds), ("share", args.shared)):
        with BenchServer() as server, TemporaryDirectory() as folder:
            env = {**os.environ, "JOBISTEMER_URL": server.url, "MIXED_STATS": f"{folder}/{part}"}
            Path(env["MIXED_STATS"]).touch()
            subprocess.run([sys.executable, __file__, "--part", part, str(argument)], env=env, check=True)


if __name__ == "__main__":
    main()
