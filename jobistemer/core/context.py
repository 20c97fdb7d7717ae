"""What a handler is told about its own call when it asks, by a parameter annotated with `Context`."""

from __future__ import annotations

from datetime import datetime

import msgspec


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
