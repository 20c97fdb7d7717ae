"""Processes of a measurement: started in a session of their own, pinned, measured with their children, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.peers.paths import ADAPTERS

TICK = os.sysconf("SC_CLK_TCK")
Cores = tuple[int, ...]


class StepFailed(Exception):
    """A step of a peer did not work; the message goes into its row."""


def wait_until(condition: Callable[[], object], timeout: float, what: str, every: float = 0.02) -> None:
    """Look until the condition holds. Raises StepFailed."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise StepFailed(f"{what} took longer than {timeout:g} s")
        time.sleep(every)


def pin_to_cores(command: list[str], cores: Cores) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, cores)), *command] if cores else command


class ProcessSet:
    """Some commands, each the leader of its own session, so that what they fork can be found and ended."""

    def __init__(self, commands: Iterable[list[str]], env: Mapping[str, str], cores: Cores, log: Path) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._leaders = [
                subprocess.Popen(
                    pin_to_cores(command, cores),
                    cwd=ADAPTERS,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                for command in commands
            ]
        self._sessions = {leader.pid for leader in self._leaders}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def check(self) -> None:
        """Raises StepFailed when one has ended by itself."""
        for leader in self._leaders:
            if leader.poll() is not None:
                raise StepFailed(f"a process ended with {leader.returncode}: {_last_line(self._log)}")

    def cpu_seconds(self) -> float:
        """User and system time of everything in these sessions, with the children that have ended."""
        return sum(sum(map(int, fields[11:15])) / TICK for _, fields in self._session_processes())

    def end(self, patience: float = 0.5) -> None:
        for sign, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 2.0)):
            alive = self._leaders if sign == signal.SIGTERM else [each for each in self._leaders if each.poll() is None]
            for leader in alive:
                with contextlib.suppress(ProcessLookupError):
                    leader.send_signal(sign)
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline and any(leader.poll() is None for leader in self._leaders):
                time.sleep(0.02)
        for pid, _ in self._session_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _session_processes(self) -> list[tuple[int, list[str]]]:
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) in self._sessions:
                        found.append((int(entry.name), fields))
        return found


class Producer:
    """An adapter that enqueues on command."""

    def __init__(
        self, command: list[str], env: Mapping[str, str], cores: Cores, log: Path, patience: float = 30
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log, self._patience = log, patience
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                pin_to_cores(command, cores),
                cwd=ADAPTERS,
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self._answer(self._patience, "starting the producer")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def ask(self, do: str, timeout: float = 60.0, **arguments: Any) -> dict[str, float]:
        """Have it done, and learn the seconds and the CPU it took. Raises StepFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise StepFailed(f"the producer is gone: {_last_line(self._log)}") from None
        return self._answer(timeout, f"`{do}`")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answer(self, timeout: float, what: str) -> dict[str, float]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise StepFailed(f"{what} took longer than {timeout:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise StepFailed(f"the producer ended: {_last_line(self._log)}")
        answer: dict[str, float] = json.loads(line)
        return answer


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return lines[-1].strip()[:160] if lines else "no output"
