"""The reducer of a group that was given none: it waits for the runs and returns nothing."""

from __future__ import annotations

from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.ids import GATHER_NAME
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.results import Results


def _default_reducer(results: Results[Any]) -> None:
    """Tasks that come after one that maps read its results by a parameter annotated `Results[T]`.

    It asks for them too, unread: so it looks like any other reducer.
    """


DEFAULT_REDUCER = Handler(GATHER_NAME, _default_reducer, Options())
