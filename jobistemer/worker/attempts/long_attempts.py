"""The attempts that came near their time-out: `doctor` names their tasks before the first run is ended for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

NEAR: Final = 0.8
"""An attempt is near its time-out when it has used this part of it."""
MAX_TASKS: Final = 20
"""How many tasks are remembered; those that come later are not."""
KEPT_S: Final = 86_400.0
"""For how many seconds a task is remembered after its last attempt of this kind."""


class LongAttempts:
    """For each task the longest attempt that came near its time-out. The watchdog writes it, beats read it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._found: dict[str, tuple[int, int, float]] = {}

    def note(self, task: str, ms: int, limit_ms: int) -> None:
        """Remember an attempt that has run for so many ms of the ms that it may, when that is near."""
        if ms < limit_ms * NEAR:
            return
        longest, limit, _ = self._found.get(task, (0, 0, 0.0))
        if task in self._found or len(self._found) < MAX_TASKS:
            # What counts is how near it came: calls may bring time-outs of their own.
            kept = (ms, limit_ms) if ms * (limit or 1) >= longest * limit_ms else (longest, limit)
            self._found[task] = (*kept, self._monotonic())

    def list(self) -> dict[str, tuple[int, int]]:
        """Return for each task the longest attempt and its time-out, in ms."""
        before = self._monotonic() - KEPT_S
        for task in [task for task, (_, _, at) in self._found.copy().items() if at < before]:
            self._found.pop(task, None)
        return {task: (ms, limit_ms) for task, (ms, limit_ms, _) in self._found.copy().items()}
