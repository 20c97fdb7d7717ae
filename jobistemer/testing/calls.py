"""The calls that were enqueued since the test began, also those that have been executed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.core.errors import InvalidPayload
from jobistemer.core.handlers.value_codec import encode_json
from jobistemer.core.payload_json import ENCODING_ERRORS
from jobistemer.core.runs.message import Message
from jobistemer.core.states import WAITING_RUNS, RunState
from jobistemer.store.reads.entries import find_current_message, list_entries
from jobistemer.store.reads.jobs import locate_run
from jobistemer.store.reads.records import find_message, find_record
from jobistemer.testing.times import to_datetime

MAX_ENTRIES = 10_000
"""How many entries of a shard are looked at for calls that no hook was told of."""
PERFORM_QUEUE = "performed-by-the-test"
"""The queue of the runs that `Jobs.perform` makes. The application has not enqueued them, so they are no calls."""


class Call(msgspec.Struct, frozen=True):
    """One call of a task.

    arguments: as the handler gets them, defaults included, where the app has the task. state: the state of its run now,
    None when the retention of its record is over. due_at: when it starts or is tried again, None when it does not wait
    for a time. note: the reason of any other wait.
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
        """Return the differences from the expected arguments, in words; empty when the call has all of them."""
        return [
            f"{name} is {self.arguments[name]!r:.200}" if name in self.arguments else f"there is no {name}"
            for name, value in expected.items()
            if name not in self.arguments or not _is_equal(value, self.arguments[name])
        ]


class CallLog:
    """The calls of one app, recorded by its hooks."""

    def __init__(self, app: Jobistemer) -> None:
        self._app = app
        self._messages: dict[str, Message] = {}

    def record_enqueued(self, message: Message) -> None:
        """Record a call that was enqueued."""
        if message.queue != PERFORM_QUEUE:
            self._messages[message.run] = message

    def record_executed(self, message: Message) -> None:
        """Record the arguments with which a call was executed: a debounced one takes those of the last such call.

        Children of a map and letters of `on_dead` are enqueued by scripts, of which no hook is told.
        """
        if message.run in self._messages or (message.queue != PERFORM_QUEUE and _is_call(message)):
            self._messages[message.run] = message

    def _record_waiting(self) -> None:
        for database in self._app.namespace.shards:
            for run in list_entries([database], limit=MAX_ENTRIES):
                record = None if run.id in self._messages else find_record(database, run.id)
                message = find_current_message(database, record) if record is not None else None
                if message is not None:
                    self.record_executed(message)

    def all(self, task: str = "") -> list[Call]:
        """Return the calls of one task, or all calls, in the order in which they were enqueued."""
        self._record_waiting()
        return [self._build_call(each) for each in self._messages.values() if task in ("", each.handler)]

    def _build_call(self, recorded: Message) -> Call:
        database, record = locate_run(self._app.namespace.shards, recorded.run) or (None, None)
        message = recorded
        if database is not None and record is not None and record.state in WAITING_RUNS:
            # Later calls that were debounced have replaced its message on the server.
            message = find_message(database, record.id) or recorded
        due_at = record.due_at if record else 0
        if record and record.note and message.handler not in self._app.handlers:
            # It waits for another app. Its due time is only how long `OfflineFetcher` has put it off.
            due_at = 0
        return Call(
            run=message.run,
            task=message.handler,
            arguments=decode_arguments(self._app, message),
            state=record.state if record else None,
            queue=message.queue,
            priority=message.priority,
            enqueued_at=to_datetime(message.enqueue_ms),
            due_at=to_datetime(due_at) if due_at else None,
            note=record.note if record else "",
            metadata=message.metadata,
            headers=message.headers,
            error=record.error if record else "",
        )


def _is_call(message: Message) -> bool:
    """Return whether a run was enqueued by a call: it is no task of an occurrence, but may be a child of one."""
    return message.task_ref is None or message.member is not None


def decode_arguments(app: Jobistemer, message: Message) -> dict[str, Any]:
    """Decode the arguments of a call: typed where the app has the task and they fit it, else as plain JSON."""
    handler = app.handlers.get(message.handler)
    if handler is not None:
        with suppress(InvalidPayload):
            return handler.decode(message.payload)
    arguments: dict[str, Any] = msgspec.json.decode(message.payload)
    return arguments


def _is_equal(expected: Any, found: Any) -> bool:
    # First as they are, for the sake of mock.ANY, pytest.approx and other objects that define equality.
    if expected == found:
        return True
    try:
        return bool(msgspec.json.decode(encode_json(expected)) == msgspec.json.decode(encode_json(found)))
    except ENCODING_ERRORS:
        return False
