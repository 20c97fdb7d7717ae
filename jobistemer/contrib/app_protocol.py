"""The part of an app that the built-in tasks use, as a protocol: contrib does not import `jobistemer.app`."""

from __future__ import annotations

from typing import Any, Protocol


class TaskMaker(Protocol):
    """An app that can declare a task."""

    def task(self, /, *, name: str, **options: Any) -> Any:
        """Return the decorator that declares a task with this name."""
        ...
