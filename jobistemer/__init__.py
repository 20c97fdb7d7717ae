"""Jobistemer: distributed cron and job queue on Redis.

from jobistemer import Jobistemer

app = Jobistemer("redis://localhost:6379/0")
"""

from jobistemer.app import Debounce, JobControl, Jobistemer, Request, RunHandle, TaskHandle, Throttle, Unique
from jobistemer.core.errors import JobistemerError
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail, Retry
from jobistemer.core.jobs.limits import Concurrency, Rate
from jobistemer.core.jobs.options import Options
from jobistemer.core.jobs.retries import NO_RETRIES, Delays, Exponential
from jobistemer.core.runs.dead_letter import DeadLetter
from jobistemer.core.runs.report import Report
from jobistemer.core.runs.results import Results
from jobistemer.core.schedules import Cron, Interval, Once

__version__ = "0.1.0"

__all__ = [
    "NO_RETRIES",
    "Concurrency",
    "Context",
    "Cron",
    "DeadLetter",
    "Debounce",
    "Delays",
    "Exponential",
    "Fail",
    "Interval",
    "JobControl",
    "Jobistemer",
    "JobistemerError",
    "Once",
    "Options",
    "Rate",
    "Report",
    "Request",
    "Results",
    "Retry",
    "RunHandle",
    "TaskHandle",
    "Throttle",
    "Unique",
    "__version__",
]
