"""Rewind a run: it does a step again, and all that come after it; the records of the steps before it are kept."""

from __future__ import annotations

from typing import Final

from jobistemer.control.retry import retry_run
from jobistemer.control.signals import require_run
from jobistemer.core.checks import show
from jobistemer.core.errors import Conflict, InvalidInput
from jobistemer.core.runs.steps import StepView
from jobistemer.core.states import RunState
from jobistemer.store.calls.durable.steps import rewind_run as build_rewind
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.durable.steps import list_steps

MAX_REWOUND: Final = 5_000
"""How many steps may be done again."""


def rewind_run(namespace: Namespace, run_id: str, step: str) -> str:
    """Let a run do a step again, and all that it asked for after it.

    A suspended run goes on at once. A run that has ended without success gives its work to a new one, as `run retry`
    does. Returns the id of the run that does them. Raises UnknownRun, InvalidInput for a step that is not on record or
    too many of them, Conflict for a run that is going on, or what `retry_run` raises.
    """
    database, run = require_run(namespace, run_id)
    dropped = find_steps_from(list_steps(database, run.id), step)
    if run.state is not RunState.SUSPENDED:
        return retry_run(namespace, run.id, dropped_steps=dropped)
    if database.call(build_rewind(database.keys, run, dropped)).word == "MOVED":
        raise Conflict(f"run {run_id} went on at this moment: look again")
    return run.id


def find_steps_from(steps: list[StepView], step: str) -> list[str]:
    """Return the names of a step and of those that were asked for after it. Raises InvalidInput."""
    names = [each.name for each in steps]
    if step not in names:
        known = ", ".join(names[-10:]) or "none"
        raise InvalidInput(f"the run has no step {show(step)} on record; the latest are: {known}")
    found = names[names.index(step) :]
    if len(found) > MAX_REWOUND:
        raise InvalidInput(f"{len(found)} steps would be done again, allowed are {MAX_REWOUND}: enqueue the call again")
    return found
