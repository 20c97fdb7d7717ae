"""The role of application code: declare tasks and jobs, enqueue calls, look up runs.

May import `control`, `runtime`, `store` and `core`.
"""

import warnings
from importlib import import_module
from typing import Any

from jobistemer.app.application import Jobistemer
from jobistemer.app.handles import RunHandle, TaskHandle
from jobistemer.app.producer import Producer
from jobistemer.app.request import Debounce, Request, Throttle, Unique

__all__ = ["Debounce", "Jobistemer", "Producer", "Request", "RunHandle", "TaskHandle", "Throttle", "Unique"]

_MOVED = {
    "DeadLetters": ("jobistemer.control.dead_letters", "take `app.dead`"),
    "Holds": ("jobistemer.control.queues", "take `app.holds`"),
    "JobControl": ("jobistemer.control.jobs", "write `from jobistemer import JobControl`"),
    "QueueControl": ("jobistemer.control.queues", "take `app.queues`"),
}
"""Names that could be imported from here before the classes moved to `control`; kept for one release."""


def __getattr__(name: str) -> Any:
    """Return a class that has moved, with a DeprecationWarning. Raises AttributeError for any other name."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, remedy = _MOVED[name]
    warnings.warn(f"jobistemer.app.{name} has moved and will go from here: {remedy}", DeprecationWarning, stacklevel=2)
    return getattr(import_module(module), name)
