"""Jobistemer: a distributed cron and job queue on Redis.

from jobistemer import Jobistemer

app = Jobistemer("redis://localhost:6379/0")

Applications import from here, from `jobistemer.contrib.*` and from `jobistemer.testing`; other modules may move.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from jobistemer.app.application import Jobistemer
from jobistemer.app.handles import RunHandle, TaskHandle
from jobistemer.app.request import Debounce, Request, Throttle, Unique, new_run_id
from jobistemer.core.errors import (
    Conflict,
    DuplicateRun,
    InvalidDefinition,
    InvalidInput,
    InvalidName,
    InvalidPayload,
    InvalidSchedule,
    InvalidStep,
    JobistemerError,
    Misconfigured,
    NotConnected,
    NotFound,
    PayloadTooLarge,
    QueueClosed,
    RefusedInput,
    ResultTimeout,
    RunEnded,
    RunFailed,
    ServerRefused,
    StaleDefinition,
    StartFailed,
    StepFailed,
    StepsDiffer,
    UnknownJob,
    UnknownOccurrence,
    UnknownRun,
    UnknownTask,
    UnknownVersion,
    UnreadableRecord,
    WornOut,
)
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Done, Fail, Retry, Snooze
from jobistemer.core.handlers.dependencies import Depends
from jobistemer.core.handlers.waits.reminders import Reminder
from jobistemer.core.jobs.alert import Alert
from jobistemer.core.jobs.limits import Concurrency, Rate
from jobistemer.core.jobs.options import Options
from jobistemer.core.jobs.retries import NO_RETRIES, Delays, Exponential
from jobistemer.core.runs.dead_letter import DeadLetter
from jobistemer.core.runs.report import Report
from jobistemer.core.runs.results import Results
from jobistemer.core.schedules import (
    Blackout,
    Cron,
    CronExclusion,
    Custom,
    Dates,
    Holidays,
    Interval,
    Once,
    Window,
    anchored,
    parse_schedule,
    register_schedule,
)
from jobistemer.core.sizes import Sizes

if TYPE_CHECKING:
    from jobistemer.app.health import Health
    from jobistemer.app.running import Running
    from jobistemer.control.audit import audit_jobs
    from jobistemer.control.backfills import Backfills
    from jobistemer.control.job_pages import JobPage
    from jobistemer.control.jobs import JobControl
    from jobistemer.core.reads.stats import Stats
else:
    # Only people who look after jobs need these; every process would pay for their import. See docs/decisions/0003.
    # Type checkers do not see this function, since they would take any name of the module for an `object` then.
    def __getattr__(name: str) -> object:
        """Import one of these names on its first use. Raises AttributeError for any other name."""
        modules = {
            "Backfills": "jobistemer.control.backfills",
            "Health": "jobistemer.app.health",
            "JobControl": "jobistemer.control.jobs",
            "JobPage": "jobistemer.control.job_pages",
            "Running": "jobistemer.app.running",
            "Stats": "jobistemer.core.reads.stats",
            "audit_jobs": "jobistemer.control.audit",
        }
        if name not in modules:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(modules[name]), name)
        return found


__version__ = "0.1.0"

__all__ = [
    "NO_RETRIES",
    "Alert",
    "Backfills",
    "Blackout",
    "Concurrency",
    "Conflict",
    "Context",
    "Cron",
    "CronExclusion",
    "Custom",
    "Dates",
    "DeadLetter",
    "Debounce",
    "Delays",
    "Depends",
    "Done",
    "DuplicateRun",
    "Exponential",
    "Fail",
    "Health",
    "Holidays",
    "Interval",
    "InvalidDefinition",
    "InvalidInput",
    "InvalidName",
    "InvalidPayload",
    "InvalidSchedule",
    "InvalidStep",
    "JobControl",
    "JobPage",
    "Jobistemer",
    "JobistemerError",
    "Misconfigured",
    "NotConnected",
    "NotFound",
    "Once",
    "Options",
    "PayloadTooLarge",
    "QueueClosed",
    "Rate",
    "RefusedInput",
    "Reminder",
    "Report",
    "Request",
    "ResultTimeout",
    "Results",
    "Retry",
    "RunEnded",
    "RunFailed",
    "RunHandle",
    "Running",
    "ServerRefused",
    "Sizes",
    "Snooze",
    "StaleDefinition",
    "StartFailed",
    "Stats",
    "StepFailed",
    "StepsDiffer",
    "TaskHandle",
    "Throttle",
    "Unique",
    "UnknownJob",
    "UnknownOccurrence",
    "UnknownRun",
    "UnknownTask",
    "UnknownVersion",
    "UnreadableRecord",
    "Window",
    "WornOut",
    "__version__",
    "anchored",
    "audit_jobs",
    "new_run_id",
    "parse_schedule",
    "register_schedule",
]
