"""The default reducer, for a group that was given none: it waits for the runs and returns nothing."""

from __future__ import annotations

from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.ids import GATHER_NAME
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.results import Results


def _default_reducer(results: Results[Any]) -> None:
    """Return nothing: a task that comes after one that maps reads the results itself, as `Results[T]`.

    The parameter is never read; with it, this is a reducer like any other.
    """


DEFAULT_REDUCER = Handler(GATHER_NAME, _default_reducer, Options())
