"""Calls as text in a table of the application's database, and the relay that sends them.

A row holds the whole call with the id of its run. A relay that dies between sending and deleting sends the call again,
and the second call finds the run of the first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec

from jobistemer.app import Jobistemer, TaskHandle
from jobistemer.app.relays import Relay
from jobistemer.app.request import Debounce, Request, Throttle, Timing, Unique, build_request, new_run_id
from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidDefinition, InvalidInput, JobistemerError, NotConnected, QueueClosed
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.handler import encode_payload
from jobistemer.core.jobs.options import Options

BATCH = 500
"""How many rows a relay locks, sends and deletes in one transaction of the database."""
MAX_BATCHES = 200
"""How many batches one run of the relay sends at the most; the next run goes on."""
RETRY_MS = 60_000
"""How long a row waits whose queue is closed."""
NEVER_MS = 2**62
"""The time of a row that cannot be sent: its `error` says why, and it stays until somebody deletes it."""
LONGEST_ERROR = 500

log = logging.getLogger("jobistemer.outbox")


class StoredCall(msgspec.Struct, omit_defaults=True, tag="call-1"):
    """A call as a row has it; instants are Unix milliseconds, 0 for none. The tag is the version of the form."""

    task: str
    run_id: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    options: Options = Options()
    at_ms: int = 0
    expires_ms: int = 0
    unique: Unique | None = None
    throttle: Throttle | None = None
    metadata: dict[str, str] = {}
    headers: dict[str, str] = {}


class OutboxRow(NamedTuple):
    """A row that is locked by the relay. call: the text of a StoredCall."""

    id: int
    call: str


class LockedRows(Protocol):
    """A transaction of the database that holds rows: they are deleted or put off before it is committed."""

    def lock(self, now_ms: int, count: int) -> Sequence[OutboxRow]:
        """Lock and return the first rows that are due and that no other relay holds."""
        ...

    def delete(self, ids: Sequence[int]) -> None:
        """Delete rows."""
        ...

    def put_off(self, row: int, due_ms: int, error: str) -> None:
        """Give a row a later time, and the reason."""
        ...


class _Stored:
    """How many calls this process has written into rows."""

    calls = 0


_stored = _Stored()


def build_call(task: TaskHandle[..., Any] | Request | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    """Return the call of a task with the id of its run. A task that is known by name takes keyword arguments.

    Raises InvalidInput or InvalidPayload.
    """
    if isinstance(task, TaskHandle):
        request = task.request(*args, **kwargs)
    elif isinstance(task, Request):
        request = task
    elif isinstance(task, str) and not args:
        request = build_request(task, kwargs)
    else:
        raise InvalidInput(f"outbox: {show(task)} is no task; give a task, a request, or a name and keyword arguments")
    if isinstance(request.single, Debounce):
        raise InvalidInput(f"outbox: a debounced call of {request.task!r} has no run of its own; leave debounce out")
    return msgspec.structs.replace(request, run_id=request.run_id or new_run_id())


def encode_call(request: Request) -> str:
    """Return a call as the text of a row. Raises InvalidInput or InvalidPayload for one that cannot be sent."""
    now_ms, single = time.time_ns() // 1_000_000, request.single
    payload = (
        request.payload if isinstance(request.payload, msgspec.Raw) else encode_payload(request.task, request.payload)
    )
    stored = StoredCall(
        request.task,
        request.run_id,
        msgspec.Raw(bytes(payload)),
        request.options,
        request.timing.due_at(now_ms),
        request.timing.expires_at(now_ms),
        single if isinstance(single, Unique) else None,
        single if isinstance(single, Throttle) else None,
        request.metadata,
        request.headers,
    )
    _stored.calls += 1
    return msgspec.json.encode(stored).decode()


def decode_call(text: str) -> Request:
    """Return the call of a row. Raises InvalidInput for a text that is none."""
    try:
        stored = msgspec.json.decode(text, type=StoredCall)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidInput(f"outbox: the row holds no call that this version reads: {error}") from None
    at = _instant(stored.at_ms) if stored.at_ms else None
    expires = _instant(stored.expires_ms) if stored.expires_ms else None
    return Request(
        stored.task,
        stored.payload,
        stored.options,
        Timing(at=at, expires=expires),
        stored.unique or stored.throttle,
        stored.metadata,
        stored.headers,
        stored.run_id,
    )


def relay_batch(app: Jobistemer, rows: LockedRows) -> int:
    """Send one batch of rows and delete them. Returns how many rows were looked at; the caller commits.

    Raises NotConnected when the server is away: then the caller rolls back, and nothing is lost.
    """
    locked = rows.lock(time.time_ns() // 1_000_000, BATCH)
    calls: dict[int, Request] = {}
    for row in locked:
        try:
            calls[row.id] = decode_call(row.call)
        except InvalidInput as error:
            _refuse(rows, row.id, error)
    try:
        app.enqueue_many(calls.values())
        sent = list(calls)
    except NotConnected:
        raise
    except JobistemerError:
        # One of them cannot be sent: each is sent alone, and only that one stays. Those that were sent are found again.
        sent = [row for row, call in calls.items() if _send_alone(app, rows, row, call)]
    if sent:
        rows.delete(sent)
    return len(locked)


def declare_relay(app: Jobistemer, relay: Callable[[], int], name: str, every: float) -> None:
    """Declare the job that runs a relay. every: seconds. Raises InvalidDefinition."""
    if name in app.declarations:
        raise InvalidDefinition(f"job {name!r} is declared already; give another name to the second outbox")

    def run(ctx: Context) -> int:
        sent = 0
        for _ in range(MAX_BATCHES):
            looked_at = relay()
            sent += looked_at
            if looked_at < BATCH or ctx.canceled:
                break
        return sent

    app.job(timedelta(seconds=every), name=name, overlap="skip", recovery="mark_as_missed", retry=0)(run)
    app.relays[name] = Relay(relay, lambda: _stored.calls)


def _send_alone(app: Jobistemer, rows: LockedRows, row: int, call: Request) -> bool:
    try:
        app.enqueue_many([call])
    except NotConnected:
        raise
    except QueueClosed as error:
        rows.put_off(row, time.time_ns() // 1_000_000 + RETRY_MS, str(error)[:LONGEST_ERROR])
        return False
    except JobistemerError as error:
        _refuse(rows, row, error)
        return False
    return True


def _refuse(rows: LockedRows, row: int, error: Exception) -> None:
    log.error("row %d of the outbox cannot be sent and stays: %s", row, error)
    rows.put_off(row, NEVER_MS, str(error)[:LONGEST_ERROR])


def _instant(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
