"""One process of the crew: started fresh, never forked off, and ended when its supervisor is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Thread

from jobistemer.runtime.repeating import start_thread

Hear = Callable[[str, str], None]
"""Takes the name of a child and a line that it wrote."""


class Child:
    """A Python module run as a process. Its standard input is a pipe that closes when this process ends."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[str] | None = None
        self._reader: Thread | None = None

    def start(self, hear: Hear) -> None:
        """Start the process; what it writes to standard error is told to `hear`."""
        # A session of its own: Ctrl-C in the terminal is for the supervisor, which ends its children in order.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=self._environment,
            start_new_session=True,
        )
        self._reader = start_thread(lambda: self._listen(hear), f"{self.name} output")

    def first_line(self) -> str:
        """Wait for the first line that it prints to standard output; empty when it ended without one."""
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.readline().strip()

    @property
    def pid(self) -> int:
        """Its process id, 0 before it was started."""
        return self._process.pid if self._process is not None else 0

    @property
    def ended(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def terminate(self) -> None:
        """Ask it to end in order."""
        if self._process is not None and self.ended is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None and self.ended is None:
            self._process.kill()

    def wait(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic seconds), then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join(1.0)

    def _listen(self, hear: Hear) -> None:
        assert self._process is not None and self._process.stderr is not None
        for line in self._process.stderr:
            hear(self.name, line.rstrip("\n"))
