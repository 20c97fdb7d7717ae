"""The tools of a context that no worker stands behind: for a handler that is called here and now, and in tests.

Nothing is stored and nothing is applied, but all of it can be looked at afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from jobistemer.core.builtin_tasks import ANY_PROGRAM, Permissions
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.runs.transaction import Transaction


class LogCapture:
    """A logger that keeps what it is told as (level, text)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.debug = self._at("debug")
        self.info = self._at("info")
        self.warning = self._at("warning")
        self.error = self.exception = self._at("error")

    def _at(self, level: str) -> Callable[..., None]:
        def log(msg: object, *args: object, **_: Any) -> None:
            self.lines.append((level, str(msg) % args if args else str(msg)))

        return log


class LocalTools:
    """Stands for a worker's tools."""

    def __init__(self) -> None:
        self.logger = LogCapture()
        self.progress: list[Progress] = []
        self.transaction = Transaction(own_key=str, prepare=_keep_request)
        # Whoever calls the function can do all that it does.
        self.permissions = Permissions(shell=(ANY_PROGRAM,), http_private=True)  # noqa: S604 - a name of a field

    def note(self, text: str, level: str) -> None:
        """Keep the line among those of the logger."""
        self.logger.lines.append((level, text))

    def show_progress(self, progress: Progress) -> None:
        """Keep it."""
        self.progress.append(progress)

    def ending(self) -> str:
        """Nobody can stop it."""
        return ""

    def last_run_at(self) -> datetime | None:
        """It belongs to no job."""
        return None

    def is_first_of_occurrence(self) -> bool:
        """It belongs to no occurrence."""
        return False

    def limit(self, seconds: float) -> None:
        """Nobody stops it."""


def _keep_request(request: Any) -> Any:
    return request
