"""The effective options of a job's tasks in an occurrence, each with the level that it comes from."""

from __future__ import annotations

from jobistemer.core.jobs.job import FailureStrategy, Job, Task
from jobistemer.core.jobs.options import EffectiveOption, Options, complete_options


def find_effective_options(job: Job, task: Task) -> dict[str, EffectiveOption]:
    """Return each option of a task by name, with the level that sets it: task, job, app or default."""
    options = complete_options(task.options)
    found = {
        field: EffectiveOption(getattr(options, field), task.origin.get(field, "default"))
        for field in Options.__struct_fields__
    }
    # The records of an occurrence are kept together, so the job decides how long, and not the task.
    found["retention_s"] = EffectiveOption(job.history_s, "job: history_s")
    if task.failure is not None:
        found["failure"] = EffectiveOption(task.failure, "task")
    else:
        source = "default" if job.failure is FailureStrategy.FAIL_FAST else "job"
        found["failure"] = EffectiveOption(job.failure, source)
    return found
