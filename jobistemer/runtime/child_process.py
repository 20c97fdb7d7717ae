"""One process of the crew: started fresh, never forked off, and ended when its supervisor is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from jobistemer.runtime.repeat import start_thread

LineHandler = Callable[[str, str], None]
"""Takes the name of a child and a line that it wrote."""


class ChildProcess:
    """A Python module run as a process. Its standard input is a pipe that closes when this process ends."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str], on_line: LineHandler
    ) -> None:
        self.name = name
        self._on_line = on_line
        # A session of its own: Ctrl-C in the terminal is for the supervisor, which ends its children in order.
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self._reader = start_thread(self._read_output, f"{name} output")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end in order."""
        if self.exit_code is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once, as a crash would, and wait until it is gone."""
        if self.exit_code is None:
            self._process.kill()
        self._process.wait()

    def join_output(self) -> None:
        """Hear the last lines of one that has ended."""
        self._reader.join(1.0)

    def _read_output(self) -> None:
        for line in self._process.stdout or ():
            self._on_line(self.name, line.rstrip("\n"))
