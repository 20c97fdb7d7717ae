"""All processes of `jobistemer dev`: a server unless there is one, a ticker, and workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from jobistemer.core.errors import NotConnected
from jobistemer.dev.children import Child, Hear
from jobistemer.dev.embedded import check_installed

GRACE_S = 10.0
"""What running handlers may take to end before the crew is ended by force."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0


class Post:
    """A place in the crew that is to be filled at all times: whoever holds it is replaced when it dies."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self._make: Callable[[], Child] = lambda: Child(name, module, arguments, environment)
        self.child = self._make()
        self._pause = FIRST_PAUSE_S
        self._again_at: float | None = None

    def fill(self, hear: Hear) -> None:
        """Start its process."""
        self.child = self._make()
        self.child.start(hear)
        self._again_at = None

    def tend(self, hear: Hear, tell: Callable[[str], None]) -> None:
        """Replace a process that has died, with growing pauses: one that dies at once would eat the machine."""
        if self.child.ended is None:
            return
        now = time.monotonic()
        if self._again_at is None:
            tell(f"{self.name} (pid {self.child.pid}) {_ending(self.child.ended)}; a new one is started")
            self._again_at = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        elif now >= self._again_at:
            self.fill(hear)


class Crew:
    """Starts in the order server, ticker, workers, and ends in the opposite one.

    hear: takes what the processes log. tell: takes what happens to them.
    """

    def __init__(self, hear: Hear, tell: Callable[[str], None]) -> None:
        self._hear = hear
        self._tell = tell
        self._server: Child | None = None
        self.posts: list[Post] = []

    def start_server(self) -> str:
        """Start an embedded server; its URL. Raises Misconfigured when it is not installed, or NotConnected."""
        check_installed()
        self._server = Child("server", "jobistemer.dev.embedded", (), {})
        self._server.start(self._hear)
        url = self._server.first_line()
        if not url:
            raise NotConnected("the embedded server did not start; what it said stands above")
        return url

    def start(self, environment: dict[str, str], workers: int, worker_arguments: Sequence[str]) -> None:
        """Start a ticker and workers."""
        self.posts = [Post("ticker", "jobistemer.cli.ticker", ("--until-eof",), environment)]
        for number in range(1, workers + 1):
            arguments = (*worker_arguments, "--until-eof")
            self.posts.append(Post(f"worker {number}", "jobistemer.cli.worker", arguments, environment))
        for post in self.posts:
            post.fill(self._hear)

    def tend(self) -> None:
        """Replace whoever has died. Raises NotConnected when the embedded server has: nothing is left to show."""
        if self._server is not None and self._server.ended is not None:
            raise NotConnected(f"the embedded server {_ending(self._server.ended)}; start again")
        for post in self.posts:
            post.tend(self._hear, self._tell)

    def end(self) -> None:
        """End everybody in order: workers, ticker, server; by force what takes too long. May be called twice."""
        deadline = time.monotonic() + GRACE_S
        for post in reversed(self.posts):
            post.child.terminate()
        for post in reversed(self.posts):
            post.child.wait(deadline)
        if self._server is not None:
            self._server.terminate()
            self._server.wait(time.monotonic() + GRACE_S)


def _ending(code: int | None) -> str:
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
