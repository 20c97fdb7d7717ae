"""What a handler is told about its own call when it asks, by a parameter annotated with `Context`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from jobistemer.core.errors import Misconfigured


class Mapping(Protocol):
    """What `Context.map` does, given by the worker."""

    def __call__(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add the runs; the id of the run that waits for them."""
        ...

    async def in_thread(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """The same without blocking the event loop."""
        ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of one attempt.

    attempt counts from 0. due_at is the due instant of the occurrence, or when the call was enqueued.
    stands_for lists the instants that a compressed run stands for, its own included; of other runs it is empty.
    fencing_token grows with each attempt of the run: hand it to other systems that can refuse older ones.
    """

    run: str
    attempt: int
    attempt_id: str
    handler: str
    due_at: datetime
    started_at: datetime
    fencing_token: int
    job: str | None = None
    occurrence: str | None = None
    stands_for: tuple[datetime, ...] = ()
    metadata: dict[str, str] = {}
    headers: dict[str, str] = {}
    mapping: Mapping | None = None

    def map(
        self, task: Any, items: Iterable[Any], *, reduce: Any = None, failure: str | None = None
    ) -> str:
        """Have workers run `task` once for each item, and `reduce` once with what they return, in order.

        task, reduce: tasks or their names. An item is a mapping of keyword arguments, or the single argument.
        failure: fail_fast, continue or retry_on_failure; by default as the task of the job says, else fail_fast.
        The reducer's run, whose id is returned, waits until this attempt has succeeded and all of them have ended.
        One attempt can map once; an attempt after a crash adds only what is missing, so items must be the same again.
        Raises Conflict, InvalidPayload, PayloadTooLarge, UnknownTask or NotConnected.
        """
        return _found(self.mapping)(task, items, reduce, failure)

    async def map_async(
        self, task: Any, items: Iterable[Any], *, reduce: Any = None, failure: str | None = None
    ) -> str:
        """Like `map`, awaited."""
        return await _found(self.mapping).in_thread(task, items, reduce, failure)


def _found(mapping: Mapping | None) -> Mapping:
    if mapping is None:
        raise Misconfigured(
            "ctx.map works inside a worker, in plain functions and coroutines; a handler with a process of its own "
            "cannot map, and in a test give the context a `mapping`"
        )
    return mapping
