"""The services that a worker gives to the steps of an attempt, and the two ways to run a flow of them.

A flow is a generator: it decides, and yields what is to be done by name. `run_flow` does it and waits, `run_flow_async`
awaits it. So each decision is written once, and core needs no threads and no event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from jobistemer.core.runs.transaction import Transaction

R = TypeVar("R")
Effect = tuple[Any, ...]
"""The name of a service, and its arguments."""
Flow = Generator[Effect, Any, R]


class StepUpdate(msgspec.Struct, frozen=True):
    """Records of steps to be written.

    take: the id of the signal that a wait takes. unless: the name of a signal that must not have come. transaction: the
    writes and calls that are applied with the record.
    """

    records: Mapping[str, bytes]
    take: str = ""
    unless: str = ""
    transaction: Transaction | None = None


class StepHost(Protocol):
    """The services of a worker for the steps of one attempt.

    load, record, signals, sleep, call and await_end are the effects of flows; `AsyncStepHost` has them awaited.
    """

    @property
    def shortest_suspension_ms(self) -> int:
        """Return how long a wait is at least that suspends the run; shorter ones hold the slot."""
        ...

    @property
    def result_bytes(self) -> int:
        """Return how many bytes of JSON a result may have."""
        ...

    def now_ms(self) -> int:
        """Return the time of the server in Unix ms, as far as it is known."""
        ...

    def chance(self) -> float:
        """Return a random number in [0, 1)."""
        ...

    def find_stop_reason(self) -> str:
        """Return why the handler should end, see `Context.ending`."""
        ...

    def warn(self, text: str) -> None:
        """Log a warning, and store it with the attempt."""
        ...

    def new_transaction(self) -> Transaction:
        """Return an empty transaction."""
        ...

    def record_later(self, update: StepUpdate) -> None:
        """Write records without waiting for it."""
        ...

    def load(self) -> Mapping[bytes, bytes]:
        """Return the records of the steps of the run; empty where there are certainly none."""
        ...

    def record(self, update: StepUpdate) -> str:
        """Write records. Returns DONE, or SIGNALED when the signal has come that must not have.

        Raises AttemptOver when another caller has ended the attempt, or InvalidStep when the transaction is refused.
        """
        ...

    def signals(self) -> bytes:
        """Return the signals that the run was sent, as they are stored."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Call a function. Raises TimeoutError when it takes longer than `seconds`."""
        ...


class AsyncStepHost(Protocol):
    """The same effects, awaited."""

    async def load(self) -> Mapping[bytes, bytes]:
        """See StepHost."""
        ...

    async def record(self, update: StepUpdate) -> str:
        """See StepHost."""
        ...

    async def signals(self) -> bytes:
        """See StepHost."""
        ...

    async def sleep(self, seconds: float) -> None:
        """See StepHost."""
        ...

    async def call(self, function: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Await a coroutine function, or call a plain function in a thread. Raises TimeoutError."""
        ...


def run_flow(flow: Flow[R], host: StepHost) -> R:
    """Run a flow in this thread and return its result. Raises what it raises."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration as done:
            result: R = done.value
            return result
        answer, error = None, None
        try:
            answer = getattr(host, effect[0])(*effect[1:])
        except BaseException as raised:  # noqa: BLE001 - the flow decides what an error of its function means
            error = raised


async def run_flow_async(flow: Flow[R], host: AsyncStepHost) -> R:
    """Run a flow on the event loop and return its result. Raises what it raises."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration as done:
            result: R = done.value
            return result
        answer, error = None, None
        try:
            answer = await getattr(host, effect[0])(*effect[1:])
        except BaseException as raised:  # noqa: BLE001 - the flow decides what an error of its function means
            error = raised
