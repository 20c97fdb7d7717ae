"""The reducer of a group that was given none: it waits for the runs and returns nothing."""

from __future__ import annotations

from jobistemer.core.handlers import Handler
from jobistemer.core.ids import GATHER_NAME
from jobistemer.core.options import Options


def _gather() -> None:
    """Tasks that come after one that maps read its results by a parameter annotated `Results[T]`."""


GATHER = Handler(GATHER_NAME, _gather, Options())
