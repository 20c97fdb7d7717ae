"""What was enqueued: every call since the test began, also those that have been executed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.core.errors import InvalidPayload
from jobistemer.core.runs.message import Message, decode_message
from jobistemer.core.states import RunState
from jobistemer.store.reads.jobs import locate_run
from jobistemer.testing.times import from_ms

PERFORM_QUEUE = "performed-by-the-test"
"""The queue of what a test performs itself, which nobody has enqueued."""


class Call(msgspec.Struct, frozen=True):
    """One call of a task. arguments: as the handler gets them, defaults included, where the app has the task.

    state: where its run stands now, None when the retention of its record is over. due_at: when it starts or is tried
    again, None when it waits for no time. note: why it waits otherwise.
    """

    run: str
    task: str
    arguments: dict[str, Any]
    state: RunState | None
    queue: str
    priority: int
    enqueued_at: datetime
    due_at: datetime | None
    metadata: dict[str, str]
    headers: dict[str, str]
    error: str
    note: str

    def differs(self, expected: Mapping[str, Any]) -> list[str]:
        """Which of the expected arguments it does not have, in words."""
        return [
            f"{name} is {self.arguments[name]!r:.200}" if name in self.arguments else f"there is no {name}"
            for name, value in expected.items()
            if name not in self.arguments or not _is_equal(value, self.arguments[name])
        ]


class CallLog:
    """The calls of one app; a hook of it tells them."""

    def __init__(self, app: Jobistemer) -> None:
        self._app = app
        self._messages: dict[str, Message] = {}

    def record_enqueued(self, message: Message) -> None:
        """Take note of a call."""
        if message.queue != PERFORM_QUEUE:
            self._messages[message.run] = message

    def record_executed(self, message: Message) -> None:
        """A debounced call is executed with what the last of its kind has said."""
        if message.run in self._messages:
            self._messages[message.run] = message

    def all(self, task: str = "") -> list[Call]:
        """Those of one task, or all of them, in their order."""
        return [self._build_call(each) for each in self._messages.values() if task in ("", each.handler)]

    def _build_call(self, known: Message) -> Call:
        database, record = locate_run(self._app.namespace.shards, known.run) or (None, None)
        message = known
        if database is not None and record is not None and record.state is RunState.SCHEDULED:
            # Later calls that were debounced have changed what it will do.
            held = database.ask("HGET", database.keys.run(record.id), "message")
            message = known if held is None else decode_message(held)
        due_at = record.due_at if record else 0
        if record and record.note and message.handler not in self._app.handlers:
            # It waits for another app, whatever was written for want of one.
            due_at = 0
        return Call(
            run=message.run,
            task=message.handler,
            arguments=decode_arguments(self._app, message),
            state=record.state if record else None,
            queue=message.queue,
            priority=message.priority,
            enqueued_at=from_ms(message.enqueued_at),
            due_at=from_ms(due_at) if due_at else None,
            note=record.note if record else "",
            metadata=message.metadata,
            headers=message.headers,
            error=record.error if record else "",
        )


def decode_arguments(app: Jobistemer, message: Message) -> dict[str, Any]:
    """The arguments of a call, typed where the app has the task and they fit it."""
    handler = app.handlers.get(message.handler)
    try:
        found = handler.decode(message.payload) if handler is not None else None
    except InvalidPayload:
        found = None
    plain: dict[str, Any] = msgspec.json.decode(message.payload)
    return plain if found is None else found


def _is_equal(expected: Any, found: Any) -> bool:
    # First as they are: so mock.ANY, pytest.approx and the like mean what they mean.
    if expected == found:
        return True
    try:
        return bool(msgspec.to_builtins(expected) == msgspec.to_builtins(found))
    except (TypeError, ValueError):
        return False
