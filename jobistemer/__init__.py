"""Jobistemer: distributed cron and job queue on Redis.

from jobistemer import Jobistemer

app = Jobistemer("redis://localhost:6379/0")
"""

from jobistemer.app import Debounce, JobControl, Jobistemer, Request, RunHandle, TaskHandle, Throttle, Unique
from jobistemer.core.context import Context
from jobistemer.core.errors import JobistemerError
from jobistemer.core.letters import DeadLetter
from jobistemer.core.limits import Concurrency, Rate
from jobistemer.core.options import Options
from jobistemer.core.report import Report
from jobistemer.core.results import Results
from jobistemer.core.retries import NO_RETRIES, Delays, Exponential
from jobistemer.core.schedules import Cron, Interval, Once
from jobistemer.core.verdicts import Fail, Retry

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
