"""The effective options of a job's tasks as occurrences run them, each with the level that it comes from."""

from __future__ import annotations

from jobistemer.core.jobs.job import FailureStrategy, Job, Task
from jobistemer.core.jobs.options import EffectiveOption, Options, complete_options


def find_effective_options(job: Job, task: Task) -> dict[str, EffectiveOption]:
    """Every option of a task of a job: what it is, and whether the task, the job, the app or nobody said so."""
    options = complete_options(task.options)
    found = {
        field: EffectiveOption(getattr(options, field), task.origin.get(field, "default"))
        for field in Options.__struct_fields__
    }
    # The records of an occurrence are kept together, so the job says how long.
    found["retention_s"] = EffectiveOption(job.history_s, "job: history_s")
    if task.failure is not None:
        found["failure"] = EffectiveOption(task.failure, "task")
    else:
        source = "default" if job.failure is FailureStrategy.FAIL_FAST else "job"
        found["failure"] = EffectiveOption(job.failure, source)
    return found
