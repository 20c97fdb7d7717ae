"""All processes of `jobistemer dev`: a server unless there is one, a ticker, workers, and a dashboard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Event

from jobistemer.core.errors import NotConnected
from jobistemer.dev.embedded_server import check_installed
from jobistemer.runtime.child_process import ChildProcess, LineHandler

GRACE_S = 10.0
"""What the crew may take to end in order before it is ended by force."""
MIN_PAUSE_S, MAX_PAUSE_S = 0.5, 15.0
POLL_S = 0.05


class RestartedProcess:
    """A place in the crew that is to be filled at all times: whoever holds it is replaced when it dies."""

    def __init__(self, start: Callable[[], ChildProcess]) -> None:
        self._start = start
        self.child = start()
        self._pause = MIN_PAUSE_S
        self._restart_at: float | None = None

    def restart_ended(self, on_event: Callable[[str], None]) -> None:
        """Replace a process that has died, after a pause that grows: one that dies at once would eat the machine."""
        if self.child.exit_code is None:
            return
        now = time.monotonic()
        if self._restart_at is None:
            on_event(
                f"{self.child.name} (pid {self.child.pid}) {_describe_exit(self.child.exit_code)}; a new one is started"
            )
            self._restart_at = now + self._pause
            self._pause = min(self._pause * 2, MAX_PAUSE_S)
        elif now >= self._restart_at:
            self.child = self._start()
            self._restart_at = None


class ProcessGroup:
    """Starts in the order server, ticker, workers, dashboard, and ends in the opposite one.

    on_line: takes what the processes log. on_event: takes what happens to them.
    """

    def __init__(self, on_line: LineHandler, on_event: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._on_event = on_event
        self._server: ChildProcess | None = None
        self._restarted: list[RestartedProcess] = []

    def start_server(self) -> str:
        """Start an embedded server; its URL. Raises Misconfigured when it is not installed, or NotConnected."""
        check_installed()
        lines: SimpleQueue[str] = SimpleQueue()
        self._server = ChildProcess("server", "jobistemer.dev.embedded_server", (), {}, lambda _, line: lines.put(line))
        seen = []
        while self._server.exit_code is None or not lines.empty():
            try:
                seen.append(lines.get(timeout=POLL_S))
            except Empty:
                continue
            if seen[-1].startswith("redis://"):
                return seen[-1]
        raise NotConnected(f"the embedded server did not start: {' '.join(seen[-3:])}")

    def start(
        self, environment: Mapping[str, str], workers: int, worker_arguments: Sequence[str], port: int = 0
    ) -> None:
        """Start a ticker, workers, and a dashboard on a port, 0 for none."""

        def start(name: str, module: str, *arguments: str) -> None:
            given = (*arguments, "--until-eof")
            self._restarted.append(
                RestartedProcess(lambda: ChildProcess(name, module, given, environment, self._on_line))
            )

        start("ticker", "jobistemer.cli.commands.ticker")
        for number in range(1, workers + 1):
            start(f"worker {number}", "jobistemer.cli.commands.worker", *worker_arguments)
        if port:
            start("dashboard", "jobistemer.cli.commands.dashboard", "--port", str(port))

    def restart_ended(self) -> None:
        """Replace whoever has died. Raises NotConnected when the embedded server has: there is nothing to go on."""
        if self._server is not None and self._server.exit_code is not None:
            raise NotConnected(f"the embedded server {_describe_exit(self._server.exit_code)}; start again")
        for each in self._restarted:
            each.restart_ended(self._on_event)

    def find_by_pid(self, pid: int) -> ChildProcess | None:
        """The process that runs with this process id."""
        return next((each.child for each in self._restarted if each.child.pid == pid), None)

    def end(self, immediate: Event) -> None:
        """End everybody: workers and ticker, then the server; by force what takes too long, or when in a hurry."""
        for children in ([each.child for each in reversed(self._restarted)], [self._server]):
            present = [child for child in children if child is not None]
            for child in present:
                child.terminate()
            _wait_for_end(present, immediate)
            for child in present:
                child.kill()
                child.join_output()


def _wait_for_end(children: Sequence[ChildProcess], immediate: Event) -> None:
    deadline = time.monotonic() + GRACE_S
    while any(child.exit_code is None for child in children) and time.monotonic() < deadline:
        if immediate.wait(POLL_S):
            return


def _describe_exit(code: int | None) -> str:
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
