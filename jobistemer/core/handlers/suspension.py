"""Exceptions that end an attempt from within a call of its context, without failing it.

They are no `Exception`, so that `except Exception` in a handler does not swallow them.
"""

from __future__ import annotations

from jobistemer.core.runs.settle import Suspension


class Suspended(BaseException):
    """Ends an attempt whose handler sleeps or waits; the run goes on in another one."""

    def __init__(self, suspension: Suspension) -> None:
        super().__init__(suspension.reason)
        self.suspension = suspension


class UndoReached(BaseException):
    """Ends the replay of a handler whose steps are to be undone: what it would do next was never done."""


class AttemptOver(BaseException):
    """Ends an attempt that another caller has ended already: what it would write is refused."""


def find_suspension(error: BaseException) -> Suspension | None:
    """Return the suspension that an exception carries, also within a group as task groups raise it; None for none."""
    if isinstance(error, Suspended):
        return error.suspension
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for each in inner if (found := find_suspension(each)) is not None), None)
