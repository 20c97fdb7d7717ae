"""Real processes of ours, with what they write kept in a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
"""When a wait is given up: nothing that works takes so long, even on a machine that is ten times as slow as usual."""


class WorkerProcess:
    """A `jobistemer-worker` process."""

    module = "jobistemer.cli.commands.worker"

    def __init__(self, url: str, log: Path, *arguments: str) -> None:
        self.log = log
        environment = {**os.environ, "JOBISTEMER_URL": url, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", self.module, *arguments]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, words: str, seconds: float = PATIENCE_S) -> None:
        """Wait until its log has these words; a failure shows what it has instead."""
        try:
            wait_until(lambda: words in self.said(), f"the log says {words!r}", seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}; exit code {self.process.poll()}, its log:\n{self.said()[-4000:]}") from None

    def end(self, seconds: float = 30) -> int:
        """Ask it to end in order; its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)


class TickerProcess(WorkerProcess):
    """A `jobistemer-ticker` process."""

    module = "jobistemer.cli.commands.ticker"


@contextmanager
def running_worker(
    url: str, log: Path, *arguments: str, kind: type[WorkerProcess] = WorkerProcess
) -> Iterator[WorkerProcess]:
    """A worker, or a process of another kind, while the context lasts."""
    worker = kind(url, log, *arguments)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()


def wait_until(what: Callable[[], Any], condition: str, seconds: float = PATIENCE_S) -> Any:
    """Wait for a named condition; what made it true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.02)
    return found


def is_running(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
