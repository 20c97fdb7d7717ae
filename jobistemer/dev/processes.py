"""All processes of `jobistemer dev`: a server unless there is one, a ticker, workers, and a dashboard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Event

from jobistemer.core.errors import NotConnected
from jobistemer.dev.embedded_server import check_installed
from jobistemer.runtime.child_process import Child, Hear

GRACE_S = 10.0
"""What the crew may take to end in order before it is ended by force."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
LOOK_S = 0.05


class Post:
    """A place in the crew that is to be filled at all times: whoever holds it is replaced when it dies."""

    def __init__(self, start: Callable[[], Child]) -> None:
        self._start = start
        self.child = start()
        self._pause = FIRST_PAUSE_S
        self._again_at: float | None = None

    def tend(self, tell: Callable[[str], None]) -> None:
        """Replace a process that has died, after a pause that grows: one that dies at once would eat the machine."""
        if self.child.ended is None:
            return
        now = time.monotonic()
        if self._again_at is None:
            tell(f"{self.child.name} (pid {self.child.pid}) {_ending(self.child.ended)}; a new one is started")
            self._again_at = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        elif now >= self._again_at:
            self.child = self._start()
            self._again_at = None


class Crew:
    """Starts in the order server, ticker, workers, dashboard, and ends in the opposite one.

    hear: takes what the processes log. tell: takes what happens to them.
    """

    def __init__(self, hear: Hear, tell: Callable[[str], None]) -> None:
        self._hear = hear
        self._tell = tell
        self._server: Child | None = None
        self._posts: list[Post] = []

    def start_server(self) -> str:
        """Start an embedded server; its URL. Raises Misconfigured when it is not installed, or NotConnected."""
        check_installed()
        said: SimpleQueue[str] = SimpleQueue()
        self._server = Child("server", "jobistemer.dev.embedded_server", (), {}, lambda _, line: said.put(line))
        heard = []
        while self._server.ended is None or not said.empty():
            try:
                heard.append(said.get(timeout=LOOK_S))
            except Empty:
                continue
            if heard[-1].startswith("redis://"):
                return heard[-1]
        raise NotConnected(f"the embedded server did not start: {' '.join(heard[-3:])}")

    def start(
        self, environment: Mapping[str, str], workers: int, worker_arguments: Sequence[str], port: int = 0
    ) -> None:
        """Start a ticker, workers, and a dashboard on a port, 0 for none."""

        def start(name: str, module: str, *arguments: str) -> None:
            given = (*arguments, "--until-eof")
            self._posts.append(Post(lambda: Child(name, module, given, environment, self._hear)))

        start("ticker", "jobistemer.cli.commands.ticker")
        for number in range(1, workers + 1):
            start(f"worker {number}", "jobistemer.cli.commands.worker", *worker_arguments)
        if port:
            start("dashboard", "jobistemer.cli.commands.dashboard", "--port", str(port))

    def tend(self) -> None:
        """Replace whoever has died. Raises NotConnected when the embedded server has: there is nothing to go on."""
        if self._server is not None and self._server.ended is not None:
            raise NotConnected(f"the embedded server {_ending(self._server.ended)}; start again")
        for post in self._posts:
            post.tend(self._tell)

    def member(self, pid: int) -> Child | None:
        """The process that runs with this process id."""
        return next((post.child for post in self._posts if post.child.pid == pid), None)

    def end(self, hurry: Event) -> None:
        """End everybody: workers and ticker, then the server; by force what takes too long, or when in a hurry."""
        for children in ([post.child for post in reversed(self._posts)], [self._server]):
            present = [child for child in children if child is not None]
            for child in present:
                child.terminate()
            _wait(present, hurry)
            for child in present:
                child.kill()
                child.hear_out()


def _wait(children: Sequence[Child], hurry: Event) -> None:
    deadline = time.monotonic() + GRACE_S
    while any(child.ended is None for child in children) and time.monotonic() < deadline:
        if hurry.wait(LOOK_S):
            return


def _ending(code: int | None) -> str:
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
