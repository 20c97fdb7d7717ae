"""The role of application code: declare tasks and jobs, enqueue calls, look up and control."""

from jobistemer.app.application import Jobistemer
from jobistemer.app.handles import RunHandle, TaskHandle
from jobistemer.app.producer import Producer
from jobistemer.app.request import Debounce, Request, Throttle, Unique
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.control.jobs import JobControl
from jobistemer.control.queues import Holds, QueueControl

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
