"""How long it takes to be there: imports, a worker until it has run something, a ticker until it beats.

    python benchmarks/startup.py [--repeats 9] [--peers celery,rq,dramatiq,arq,huey,taskiq]

Subjects take turns in each repeat, so that a busy machine slows all of them alike; the median counts. Imports
are timed inside a fresh interpreter, without its own start; roles from the start of their process on. Byte code is compiled beforehand, as pip does when it installs: where PYTHONDONTWRITEBYTECODE is set, a
source tree is compiled anew by each process, which costs more than all else here.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from server import BenchServer, client_of

from jobistemer.app import Jobistemer

MODULES = ("jobistemer", "jobistemer.cli.commands.worker", "jobistemer.cli.commands.ticker", "redis", "msgspec")
APP = """
import time
from jobistemer import Jobistemer

app = Jobistemer()


@app.task
def told() -> float:
    return time.time()
"""
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
Figures = dict[str, float]


IMPORT = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {}
print((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)
"""


def time_import(module: str) -> Figures:
    """A fresh interpreter that imports one module."""
    command = [sys.executable, "-c", IMPORT.format(module)]
    told = subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, text=True).stdout
    wall, cpu = map(float, told.split()[-2:])
    return {"wall ms": wall, "cpu ms": cpu}


def time_worker_start(server: BenchServer, folder: Path) -> Figures:
    """From the start of the process to the first line of a handler whose run was waiting already."""
    client_of(server.url).flushall()
    run = Jobistemer(server.url).enqueue("told")
    begin = time.time()
    with process("jobistemer.cli.commands.worker", server, folder, "starting:app") as started:
        ran_at = run.result(timeout=20)
        return {"wall ms": (ran_at - begin) * 1000, "cpu ms": cpu_ms(started.pid)}


def time_ticker_start(server: BenchServer, folder: Path) -> Figures:
    """From the start of the process to its first beat."""
    client = client_of(server.url)
    client.flushall()
    begin = time.time()
    with process("jobistemer.cli.commands.ticker", server, folder) as started:
        while not client.exists("{jobistemer:0}:tickers"):
            time.sleep(0.002)
        return {"wall ms": (time.time() - begin) * 1000, "cpu ms": cpu_ms(started.pid)}


class process:  # noqa: N801 - it reads as a verb
    """One of our roles while the context lasts."""

    def __init__(self, role: str, server: BenchServer, folder: Path, *arguments: str) -> None:
        environment = {**ENVIRONMENT, "JOBISTEMER_URL": server.url}
        command = [sys.executable, "-m", role, "--log-level", "error", *arguments]
        self._process = subprocess.Popen(command, cwd=folder, env=environment)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def cpu_ms(pid: int) -> float:
    """CPU time of a process so far, as far as the system tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def compile_modules(modules: list[str]) -> list[str]:
    """Those modules that are installed, with their byte code written."""
    found = []
    for module in modules:
        if spec := importlib.util.find_spec(module.partition(".")[0]):
            found.append(module)
            for folder in spec.submodule_search_locations or ():
                compileall.compile_dir(folder, quiet=2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peers", default="celery,rq,dramatiq,arq,huey,taskiq,procrastinate,apscheduler")
    chosen = parser.parse_args()
    modules = compile_modules([*MODULES, *filter(None, chosen.peers.split(","))])
    with BenchServer() as server, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "starting.py").write_text(APP)
        subjects: dict[str, Callable[[], Figures]] = {
            f"import {module}": lambda module=module: time_import(module) for module in modules
        }
        subjects["worker to its first run"] = lambda: time_worker_start(server, folder)
        subjects["ticker to its first beat"] = lambda: time_ticker_start(server, folder)
        seen: dict[str, list[Figures]] = {subject: [] for subject in subjects}
        for repeat in range(chosen.repeats + 1):
            for subject, measure in subjects.items():
                figures = measure()
                # The first round warms the disk's cache and compiles what is left.
                if repeat:
                    seen[subject].append(figures)
    for subject, taken in seen.items():
        medians = {key: round(statistics.median(each[key] for each in taken)) for key in taken[0]}
        print(json.dumps({"subject": subject, **medians, "repeats": len(taken)}))


if __name__ == "__main__":
    main()
