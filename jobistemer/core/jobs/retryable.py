"""Which exceptions are worth another attempt: lists that a task declares, which never go over the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition

ErrorTypes = tuple[type[BaseException], ...]


class RetryFilter(NamedTuple):
    """The exceptions that are retried.

    retry_on: only these are retried; empty for all. no_retry_on: these are not retried, whatever retry_on has. `Retry`
    and `Fail` bypass the filter.
    """

    retry_on: ErrorTypes = ()
    no_retry_on: ErrorTypes = ()

    def is_final(self, error: BaseException) -> bool:
        """Return whether no other attempt is to be made after this error."""
        return isinstance(error, self.no_retry_on) or bool(self.retry_on and not isinstance(error, self.retry_on))


ALWAYS = RetryFilter()


def build_retry_filter(task: str, retry_on: Iterable[Any] = (), no_retry_on: Iterable[Any] = ()) -> RetryFilter:
    """Build the filter of a task from its lists. Raises InvalidDefinition for what is no exception class."""
    return RetryFilter(
        _check_error_types(task, "retry_on", retry_on), _check_error_types(task, "no_retry_on", no_retry_on)
    )


def _check_error_types(task: str, field: str, given: Any) -> ErrorTypes:
    # A str is iterable too: `retry_on="OSError"` would become a tuple of letters.
    types = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | type) else (given,)
    for each in types:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise InvalidDefinition(
                f"task {show(task)}: {field} has {show(each)}, which is no exception class; "
                f"write {field}=(ConnectionError, TimeoutError)"
            )
    return types
