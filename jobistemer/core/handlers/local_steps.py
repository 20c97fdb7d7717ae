"""The services of steps without a worker: functions are called, waits are over at once, nothing is stored."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from jobistemer.core.handlers.step_host import StepUpdate
from jobistemer.core.runs.transaction import Transaction
from jobistemer.core.sizes import DEFAULT_SIZES


class _Lines(Protocol):
    transaction: Transaction

    def store_line(self, text: str, level: str) -> None: ...


class LocalStepHost:
    """The services of the steps of a handler that is called directly. waits: the seconds of its waits."""

    shortest_suspension_ms = sys.maxsize
    """Nothing can be suspended: a wait is over at once."""
    result_bytes = DEFAULT_SIZES.result_bytes

    def __init__(self, tools: _Lines) -> None:
        self._tools = tools
        self.waits: list[float] = []
        self._passed_ms = 0

    def now_ms(self) -> int:
        """Return the ms that the waits of the call have taken: time goes on with them alone."""
        return self._passed_ms

    def chance(self) -> float:
        """Return 0: delays are what their policy says."""
        return 0.0

    def find_stop_reason(self) -> str:
        """Return no reason to end."""
        return ""

    def warn(self, text: str) -> None:
        """Add a line to those of the logger."""
        self._tools.store_line(text, "warning")

    def new_transaction(self) -> Transaction:
        """Return the transaction of the call."""
        return self._tools.transaction

    def record_later(self, update: StepUpdate) -> None:
        """Do nothing."""

    def load(self) -> Mapping[bytes, bytes]:
        """Return no records."""
        return {}

    def record(self, update: StepUpdate) -> str:  # noqa: ARG002 - the shape of StepHost
        """Return DONE, and store nothing."""
        return "DONE"

    def signals(self) -> bytes:
        """Return no signals."""
        return b""

    def sleep(self, seconds: float) -> None:
        """Note a wait, which is over at once."""
        self.waits.append(seconds)
        self._passed_ms += round(seconds * 1000)

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:  # noqa: ARG002 - the shape of StepHost
        """Call a function."""
        return function(*args, **kwargs)


class AwaitedLocalHost:
    """The same, awaited."""

    def __init__(self, host: LocalStepHost) -> None:
        self._host = host

    async def load(self) -> Mapping[bytes, bytes]:
        """Return no records."""
        return self._host.load()

    async def record(self, update: StepUpdate) -> str:
        """Return DONE, and store nothing."""
        return self._host.record(update)

    async def signals(self) -> bytes:
        """Return no signals."""
        return self._host.signals()

    async def sleep(self, seconds: float) -> None:
        """Note a wait, which is over at once."""
        self._host.sleep(seconds)

    async def call(self, function: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Call a function, and await what it returns when that can be awaited."""
        value = self._host.call(function, args, kwargs, seconds)
        return await value if inspect.isawaitable(value) else value
