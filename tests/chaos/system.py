"""Real processes on a real server, and the means to kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any, NamedTuple

from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from tests.support.audit import find_faults
from tests.support.clusters import free_port
from tests.support.paths import ROOT
from tests.support.servers import VALKEY, binary_of, wait_until_ready


class Effect(NamedTuple):
    """One line of the ledger."""

    run: str
    attempt: int
    pid: int


class Server:
    """An embedded Valkey that can be killed and comes back on the same port.

    What it has acknowledged is written, though not to the disk: it is the process that is killed here. With
    `everysec` the write itself may be put off for two seconds while the disk is busy, and a killed server then
    forgets what it has acknowledged.
    """

    def __init__(self, folder: Path, binary: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self._binary = binary or binary_of(VALKEY)
        self.environment: dict[str, str] = {}
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), *options]
        environment = {**os.environ, **self.environment}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        assert self._process.stdout is not None
        wait_until_ready(self._process.stdout)
        # A server whose log nobody reads stops in the middle of a story when the pipe is full.
        Thread(target=self._process.stdout.read, daemon=True).start()

    def freeze(self) -> None:
        """It answers nobody, and no connection breaks."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class ChaosSystem:
    """A server, tickers, workers and the ledger."""

    def __init__(self, folder: Path, server: Any, **environment: str) -> None:
        self.folder = folder
        self.server = server
        self.app = "tests.chaos.app:app"
        self.ledger = folder / "ledger"
        self.environment = {
            **os.environ,
            "JOBISTEMER_URL": self.server.url,
            "JOBISTEMER_LEDGER": str(self.ledger),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[IO[Any]] = []
        self._own_commands = Path(sys.executable).parent
        self._commands, self._path = self._own_commands, ROOT

    def use_commands_of(self, commands: Path | None) -> None:
        """Start what follows by the commands in this folder, those of another release; None for the code of this checkout."""
        self._commands, self._path = commands or self._own_commands, ROOT
        if commands is not None:
            # The applications of the tests, and nothing of this checkout beside them.
            self._path = self.folder / "applications"
            self._path.mkdir(exist_ok=True)
            if not (self._path / "tests").exists():
                (self._path / "tests").symlink_to(ROOT / "tests")

    def deploy(self) -> None:
        """Register the jobs of the app."""
        command = [self._commands / "jobistemer", "deploy", self.app]
        subprocess.run(command, env=self._environment(), cwd=self._path, check=True, stdout=subprocess.DEVNULL)

    def start_and_deploy(self) -> None:
        """Register the jobs of the app as a process of it does at its start."""
        code = f"import {self.app.replace(':', ' as module; module.')}.deploy()"
        subprocess.run([self._commands / "python", "-c", code], env=self._environment(), cwd=self._path, check=True)

    def ticker(self) -> subprocess.Popen[bytes]:
        return self._start(self._commands / "jobistemer-ticker")

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        return self._start(self._commands / "jobistemer-worker", self.app, "-c", "4", "--lease", "3", *options)

    def producer(self, *options: str) -> subprocess.Popen[bytes]:
        return self.start_module("tests.chaos.producer", *options)

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """Run a command of the command line."""
        return self._start(self._commands / "jobistemer", *words)

    def start_module(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        return self._start(sys.executable, "-m", module, *options)

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "PYTHONPATH": str(self._path)}

    def database(self) -> Database:
        return Namespace(self.server.url).shards[0]

    def effects(self) -> list[Effect]:
        if not self.ledger.exists():
            return []
        lines = self.ledger.read_text().splitlines()
        return [Effect(run, int(attempt), int(pid)) for run, attempt, pid in (line.split() for line in lines)]

    def read_log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{process.pid}.log").read_text()

    def logged_faults(self) -> list[str]:
        """What processes logged that must not come about, whatever happens to them."""
        logs = [self.read_log(process).splitlines() for process in self.processes]
        bad = ("Traceback", "unexpected error", "was destroyed", "never retrieved")
        return [line for log in logs for line in log if any(words in line for words in bad)]

    def end(self) -> None:
        """End what is still there; whoever was stopped is continued, so that it can end."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        for log in self._logs:
            log.close()

    def _start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        pending = self.folder / "starting.log"
        log = pending.open("wb")
        process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log, cwd=self._path)
        pending.rename(self.folder / f"{process.pid}.log")
        self._logs.append(log)
        self.processes.append(process)
        return process


@contextmanager
def running_system(folder: Path, server: Any = None, **environment: str) -> Iterator[ChaosSystem]:
    """A scene with its server started, or another one than `Server`; at its end it is audited, and everything is ended."""
    opened = ChaosSystem(folder, server or Server(folder), **environment)
    try:
        opened.server.start()
        yield opened
        # Whatever the story was about: each due instant has its one row.
        assert find_faults(opened.database()) == []
    finally:
        opened.end()
        opened.server.kill()


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a named condition; fails with its name."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(f"it did not come about within {seconds:g} s: {what}")
        time.sleep(0.05)


def at_rest(database: Database) -> bool:
    """Whether nothing waits, runs or is delayed.

    Runs that wait for a limit are on no stream: between the end of one run and the admission of the next, all are empty.
    """
    keys = database.keys
    streams = [keys.stream(name.decode()) for name in database.client.smembers(keys.streams)]
    return not any(database.client.xlen(stream) for stream in streams) and not database.client.exists(
        keys.delayed, keys.starts, *database.client.scan_iter(keys.waiting("*"), count=1000)
    )


def duplicates(effects: list[Effect]) -> dict[str, int]:
    """Runs with more than one effect, and how many more."""
    counted = Counter(effect.run for effect in effects)
    return {run: count - 1 for run, count in counted.items() if count > 1}
