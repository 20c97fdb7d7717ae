"""From what a handler did to an outcome, whatever it did."""

from __future__ import annotations

import traceback

from jobistemer.core.endings import Outcome
from jobistemer.core.errors import InvalidPayload, PayloadTooLarge
from jobistemer.core.handlers import encode_result
from jobistemer.core.retrying import ALWAYS, Retrying
from jobistemer.core.sizes import DEFAULT_BYTES
from jobistemer.core.states import AttemptState
from jobistemer.core.verdicts import Fail, Retry

MAX_ERROR_CHARS = 4_000

NOTHING_RETURNED = Outcome(AttemptState.SUCCEEDED)
CANCELED = Outcome(AttemptState.CANCELED, error="canceled")


class Refused(InvalidPayload):
    """The payload of this very run does not fit its handler: another attempt would find the same."""


def returned(value: object, most_bytes: int = DEFAULT_BYTES) -> Outcome:
    """The outcome of a handler that returned. A result that cannot be stored is a failure that no retry mends."""
    if value is None:
        return NOTHING_RETURNED
    try:
        return Outcome(AttemptState.SUCCEEDED, result=encode_result(value, most_bytes))
    except (InvalidPayload, PayloadTooLarge) as error:
        return Outcome(AttemptState.FAILED, error=f"the work was done, but {error}", poison=True)


def raised(error: BaseException, retrying: Retrying = ALWAYS) -> Outcome:
    """The outcome of a handler that raised, `sys.exit` and the like included."""
    if isinstance(error, Refused):
        return Outcome(AttemptState.FAILED, error=_text(error), poison=True)
    if isinstance(error, Retry):
        return Outcome(AttemptState.FAILED, error=_text(error), retry_after_ms=error.after_ms)
    if isinstance(error, Fail):
        return Outcome(AttemptState.FAILED, error=_text(error), final=True)
    return Outcome(AttemptState.FAILED, error=described(error), final=retrying.is_final(error))


def described(error: BaseException) -> str:
    """Type, message and the end of the traceback, cut to a size that can be stored for each attempt."""
    try:
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    except Exception:  # noqa: BLE001 - user code's frames may break the formatter; the outcome stands all the same
        where = ""
    return f"{type(error).__name__}: {_text(error)}\n{where}".strip()[:MAX_ERROR_CHARS]


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_ERROR_CHARS]
    except Exception as broken:  # noqa: BLE001 - `__str__` is user code and may raise anything
        return f"(its text cannot be shown: {type(broken).__name__})"
