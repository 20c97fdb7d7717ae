"""What the built-in tasks need of an app: that it can declare a task."""

from __future__ import annotations

from typing import Any, Protocol


class TaskMaker(Protocol):
    """An app, as far as a built-in task is concerned."""

    def task(self, /, *, name: str, **options: Any) -> Any:
        """Make the decorator that declares a task of this name."""
        ...
