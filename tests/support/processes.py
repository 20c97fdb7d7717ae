"""Real processes for tests: started, listened to, and waited for without napping."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

TIMEOUT_S = 60.0


class Process:
    """A command line of ours, whose output is read line by line."""

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        command: tuple[str, ...] = ("-c", "from jobistemer.cli import main; main(prog_name='jobistemer')"),
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self.lines: list[str] = []

    @property
    def text(self) -> str:
        """Everything it has said so far."""
        return "".join(self.lines)

    def says(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"it ended without saying {pattern!r}:\n{self.text}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ends(self) -> int:
        """Read to the end; its exit code."""
        assert self._process.stdout is not None
        self.lines += self._process.stdout
        return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            # With those that it has started: a killed parent leaves the workers of a web server behind.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def has_ended(pid: int) -> bool:
    """Wait for the end of a process that need not be our child; False when it does not come."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], TIMEOUT_S)[0])
    finally:
        os.close(descriptor)
