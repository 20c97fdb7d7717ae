"""A child process: started fresh, never forked off, and ended when the process that started it is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread

from jobistemer.runtime.repeat import start_thread

JOIN_OUTPUT_S = 1.0

LineHandler = Callable[[str, str], None]
"""Takes the name of a child process and a line of its output."""


def process_command(role: str, *arguments: str) -> list[str]:
    """Return the command of a ticker, worker or dashboard that hears signals before it imports the rest."""
    return module_command("jobistemer_start", role, *arguments)


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python module with the interpreter of this process."""
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def _ending_signals_held(command: Sequence[str]) -> Iterator[None]:
    # A child inherits the mask of the thread that starts it, and this entry lifts it; other commands might never.
    if "jobistemer_start" not in command:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ChildProcess:
    """A running command. Its standard input is a pipe that closes when this process ends, however it ends.

    environment: variables in addition to those of this process. on_line: takes each line of the output on a thread of
    its own; without it the child writes to the output of this process. A command of `process_command` receives the
    signals that end it only when it hears them, however early they are sent.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        on_line: LineHandler | None = None,
    ) -> None:
        self.name = name
        with _ending_signals_held(command):
            # A session of its own: Ctrl-C in the terminal is for this process, which ends its children in order.
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own command line
                command,
                stdin=subprocess.PIPE,
                stdout=None if on_line is None else subprocess.PIPE,
                stderr=None if on_line is None else subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._output_reader: Thread | None = None
        if on_line is not None:
            self._output_reader = start_thread(lambda: self._read_output(on_line), f"{name} output")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Ask the process to end in order."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once, as a crash would, and wait until it is gone."""
        self.send_signal(signal.SIGKILL)
        self._process.wait()

    def join_output(self) -> None:
        """Wait until the last lines of a process that has ended are read."""
        if self._output_reader is not None:
            self._output_reader.join(JOIN_OUTPUT_S)

    def _read_output(self, on_line: LineHandler) -> None:
        for line in self._process.stdout or ():
            on_line(self.name, line.rstrip("\n"))
