"""Outcomes: make one of what a handler returned or raised, whatever that is."""

from __future__ import annotations

import inspect
import traceback

from jobistemer.core.errors import InvalidPayload, PayloadTooLarge
from jobistemer.core.handlers.control_errors import Fail, Retry
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.result_codec import encode_result
from jobistemer.core.jobs.retryable import ALWAYS, RetryFilter
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.safe_text import hide_secrets
from jobistemer.core.states import AttemptState

MAX_ERROR_CHARS = 4_000
MAX_DELAY_MS = 366 * 86_400_000

NOTHING_RETURNED = Outcome(AttemptState.SUCCEEDED)


class RefusedInput(InvalidPayload):
    """The input of this very run does not fit its handler: another attempt would find the same."""


def outcome_of_result(value: object, handler: Handler, *, hands_over: bool = False) -> Outcome:
    """Return the outcome of a handler that returned.

    A result that cannot be stored, or is not of the annotated type, is a failure without retry. hands_over: a reducer
    will give the result of the run, so that this value is not held against the annotation.
    """
    if value is None and (handler.may_return_none or hands_over):
        return NOTHING_RETURNED
    try:
        result = encode_result(value, handler.sizes.result_bytes) if hands_over else handler.encode_result(value)
        return Outcome(AttemptState.SUCCEEDED, result=result)
    except (InvalidPayload, PayloadTooLarge) as error:
        return Outcome(AttemptState.FAILED, error=_make_storable(_explain_unfit(value, error)), poison=True)


def outcome_of_error(error: BaseException, retry_filter: RetryFilter = ALWAYS) -> Outcome:
    """Return the outcome of a handler that raised, `sys.exit` and the like included; no exception breaks this."""
    try:
        return _outcome_of_error(error, retry_filter)
    except BaseException as broken:  # noqa: BLE001 - attributes of an exception are user code and may raise anything
        name = _make_storable(type(broken).__name__)
        return Outcome(AttemptState.FAILED, error=f"its exception cannot be shown, looking at it raised {name}")


def _outcome_of_error(error: BaseException, retry_filter: RetryFilter) -> Outcome:
    # `__class__` of an exception may be a lie of user code; `type` tells the truth.
    kind = type(error)
    if issubclass(kind, RefusedInput):
        return Outcome(AttemptState.FAILED, error=_text(error), poison=True)
    if issubclass(kind, Retry):
        after_ms = getattr(error, "after_ms", None)
        delay = min(max(0, after_ms), MAX_DELAY_MS) if isinstance(after_ms, int) else None
        return Outcome(AttemptState.FAILED, error=_text(error), retry_after_ms=delay)
    if issubclass(kind, Fail):
        return Outcome(AttemptState.FAILED, error=_text(error), final=True)
    return Outcome(AttemptState.FAILED, error=describe_error(error), final=retry_filter.is_final(error))


def describe_error(error: BaseException) -> str:
    """Return type, message and the end of the traceback, cut to a size that can be stored for each attempt."""
    try:
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    except BaseException:  # noqa: BLE001 - user code's frames may break the formatter; the outcome stands all the same
        where = ""
    return _make_storable(f"{type(error).__name__}: {_text(error)}\n{where}".strip())


def _text(error: BaseException) -> str:
    try:
        return _make_storable(str(error))
    except BaseException as broken:  # noqa: BLE001 - `__str__` is user code and may raise anything
        return f"(its text cannot be shown: {type(broken).__name__})"


def _make_storable(text: str) -> str:
    # Secrets first: a cut must not leave half of one. Half of a surrogate pair cannot be sent: its escape is.
    return hide_secrets(text[: 4 * MAX_ERROR_CHARS])[:MAX_ERROR_CHARS].encode("utf-8", "backslashreplace").decode()


def _explain_unfit(value: object, error: Exception) -> str:
    if inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value):
        kind = type(value).__name__
        if inspect.iscoroutine(value):
            # It would complain on the standard error output that it was never awaited; the error says so here.
            value.close()
        return f"nothing was done: it returned a {kind} that nobody runs; declare the task with `async def`"
    return f"the work was done, but {error}"
