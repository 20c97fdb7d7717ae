"""The context of a handler that is called here and now, outside of any worker."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from jobistemer.core.context import Context, Logger
from jobistemer.core.notes import Progress
from jobistemer.core.permissions import ANYTHING, Permissions
from jobistemer.core.transactions import Transaction


class LocalTools:
    """Stands for a worker's tools: it logs to the process, stores nothing and applies nothing."""

    def __init__(self) -> None:
        self.logger: Logger = logging.getLogger("jobistemer.run")
        self.transaction = Transaction(own_key=lambda name: name, prepare=lambda request: request)
        # Whoever calls the function can do all that it does.
        self.permissions = Permissions(shell=(ANYTHING,), http_private=True)

    def note(self, text: str, level: str) -> None:
        """Log the line."""
        self.logger.debug("%s: %s", level, text)

    def show_progress(self, progress: Progress) -> None:
        """Nobody watches."""

    def ending(self) -> str:
        """Nobody can stop it."""
        return ""

    def last_run_at(self) -> datetime | None:
        """It belongs to no job."""
        return None

    def first_of_occurrence(self) -> bool:
        """It belongs to no occurrence."""
        return False

    def limit(self, seconds: float) -> None:
        """Nobody stops it."""


def local_context(handler: str) -> Context:
    """A context without a run behind it."""
    now = datetime.now(UTC)
    return Context(
        run="run_local",
        attempt=0,
        attempt_id="attempt_local",
        handler=handler,
        due_at=now,
        started_at=now,
        fencing_token=1,
        tools=LocalTools(),
    )
