"""The tools of a context without a worker: for a handler that is called directly, and for tests.

Nothing is stored and nothing is applied, but all of it can be looked at afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from jobistemer.core.builtin_tasks import ANY_PROGRAM, Permissions
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.handlers.durable import Steps
from jobistemer.core.handlers.local_steps import AwaitedLocalHost, LocalStepHost
from jobistemer.core.handlers.step_flows import StepFlows
from jobistemer.core.handlers.step_journal import StepJournal
from jobistemer.core.runs.transaction import Transaction


class LogCapture:
    """A logger that keeps its lines as (level, text)."""

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
    """The tools of a context without a worker."""

    def __init__(self) -> None:
        self.logger = LogCapture()
        self.progress: list[Progress] = []
        self.transaction = Transaction(own_key=str, prepare=_keep_request)
        # The caller could do by itself all that the function does, so nothing is refused.
        self.permissions = Permissions(shell=(ANY_PROGRAM,), http_private=True)  # noqa: S604 - a name of a field
        self._steps: Steps | None = None

    @property
    def steps(self) -> Steps:
        """The steps of the call, which are recorded for the time of the call only."""
        if self._steps is None:
            host = LocalStepHost(self)
            self._steps = Steps(StepFlows(StepJournal(0), host), AwaitedLocalHost(host))
        return self._steps

    def store_line(self, text: str, level: str) -> None:
        """Add a line to those of the logger."""
        self.logger.lines.append((level, text))

    def set_progress(self, progress: Progress) -> None:
        """Add the progress to the list."""
        self.progress.append(progress)

    def find_stop_reason(self) -> str:
        """Return no reason to end: nothing can stop the call."""
        return ""

    def find_cancel_reason(self) -> str:
        """Return nothing: nobody can cancel the call."""
        return ""

    def find_last_run(self) -> datetime | None:
        """Return None: the call belongs to no job."""
        return None

    def is_first_of_occurrence(self) -> bool:
        """Return False: the call belongs to no occurrence."""
        return False

    def set_time_limit(self, seconds: float) -> None:
        """Do nothing: nothing can stop the call."""


def _keep_request(request: Any) -> Any:
    return request
