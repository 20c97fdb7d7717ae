"""The role of application code: declare tasks and jobs, enqueue calls, look up and control."""

from jobistemer.app.application import Jobistemer
from jobistemer.app.control import JobControl
from jobistemer.app.dead_letters import DeadLetters
from jobistemer.app.handles import RunHandle, TaskHandle
from jobistemer.app.operating import Holds, QueueControl
from jobistemer.app.producer import Producer
from jobistemer.app.requests import Debounce, Request, Throttle, Unique

__all__ = [
    "DeadLetters",
    "Debounce",
    "Holds",
    "JobControl",
    "Jobistemer",
    "Producer",
    "QueueControl",
    "Request",
    "RunHandle",
    "TaskHandle",
    "Throttle",
    "Unique",
]
