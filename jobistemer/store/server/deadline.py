"""Deadlines of calls: how long a call may wait for the server, whatever it waits for.

A caller gives a deadline with `Deadline(seconds)`; it holds for everything that is called inside, in threads and
coroutines alike. Without one, no call is tried again once it has taken LONGEST_CALL_S.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from math import inf
from types import TracebackType
from typing import Any, TypeVar

import redis
import redis.asyncio.retry
import redis.retry

LONGEST_CALL_S = 10.0
"""How long (s) a call without a deadline is tried again, from its first try on."""

DEADLINE_OVER = "the time for this call is over"

T = TypeVar("T")

_ends_at: ContextVar[float] = ContextVar("ends_at", default=inf)


class Deadline:
    """The end of all calls inside of this context: so many seconds from now, or an earlier one that holds already."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token: Token[float] = _ends_at.set(min(_ends_at.get(), time.monotonic() + self._seconds))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ends_at.reset(self._token)


def seconds_left() -> float:
    """Return the seconds until the deadline; infinite when there is none, negative when it is over."""
    ends_at = _ends_at.get()
    return inf if ends_at == inf else ends_at - time.monotonic()


def check_time_left() -> float:
    """Return the seconds until the deadline. Raises redis.TimeoutError when it is over."""
    left = seconds_left()
    if left <= 0:
        raise redis.TimeoutError(DEADLINE_OVER)
    return left


async def until_deadline(awaited: Awaitable[T]) -> T:
    """Await until the deadline. Raises redis.TimeoutError when it is over before that."""
    left = seconds_left()
    if left == inf:
        return await awaited
    try:
        async with asyncio.timeout(left):
            return await awaited
    except TimeoutError as error:
        raise redis.TimeoutError(DEADLINE_OVER) from error


class BoundedRetry(redis.retry.Retry):
    """The tries of a call, which end with its deadline."""

    def call_with_retry(self, do: Callable[[], T], fail: Callable[..., Any], *args: Any, **options: Any) -> T:
        """Call `do` until it succeeds, or tries or time are over. Raises the last error."""
        started = time.monotonic()
        try:
            return do()
        except self._supported_errors as error:
            failed: list[Exception] = [error]

        def do_again() -> T:
            if failed:
                raise failed.pop()
            return do()

        def fail_in_time(error: Exception, *count: int) -> None:
            fail(error, *count)
            if seconds_left() <= 0:
                raise error

        # Only now, after a failure: calls without one do not pay for this.
        with Deadline(started + LONGEST_CALL_S - time.monotonic()):
            return super().call_with_retry(do_again, fail_in_time, *args, **options)


class AsyncBoundedRetry(redis.asyncio.retry.Retry):
    """The tries of an awaited call, which end with its deadline."""

    async def call_with_retry(
        self, do: Callable[[], Awaitable[T]], fail: Callable[..., Any], *args: Any, **options: Any
    ) -> T:
        """Await `do` until it succeeds, or tries or time are over. Raises the last error."""
        started = time.monotonic()
        try:
            return await do()
        except self._supported_errors as error:
            failed: list[Exception] = [error]

        async def do_again() -> T:
            if failed:
                raise failed.pop()
            return await until_deadline(do())

        async def fail_in_time(error: Exception, *count: int) -> None:
            await fail(error, *count)
            if seconds_left() <= 0:
                raise error

        with Deadline(started + LONGEST_CALL_S - time.monotonic()):
            return await super().call_with_retry(do_again, fail_in_time, *args, **options)
