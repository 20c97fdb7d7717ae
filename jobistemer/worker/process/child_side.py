"""The tools of a context in a process beside the worker: what is to be done outside of it, its worker does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from queue import SimpleQueue
from typing import Any

import msgspec

from jobistemer.core import errors
from jobistemer.core.errors import Conflict, JobistemerError, Misconfigured
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.handlers.context import Logger
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import PrepareCall
from jobistemer.core.handlers.injected import Decode
from jobistemer.core.permissions import Permissions
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.transaction import Transaction, Value
from jobistemer.store.keys import Keys
from jobistemer.worker.attempts.run_logger import ForwardingLogger
from jobistemer.worker.execute.fan_out import encode_items, resolve_task_name
from jobistemer.worker.process import protocol
from jobistemer.worker.process.channel import Channel

MAX_BATCH_ITEMS, MAX_BATCH_BYTES = 1_000, 1024 * 1024


class WorkerConnection:
    """The way to the worker during one attempt; what threads of the handler say after its end is heard by nobody."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._send_lock = threading.Lock()
        # A handler's threads take turns; one that asks while its own items are mapped goes on.
        self._question_lock = threading.RLock()
        self._is_closed = False
        self.replies: SimpleQueue[protocol.Frame] = SimpleQueue()
        self.ending = ""

    def send(self, frame: protocol.Frame) -> bool:
        """Say something; whether the attempt goes on."""
        with self._send_lock:
            if not self._is_closed:
                self._channel.send(frame)
            return not self._is_closed

    def ask(self, question: protocol.Frame) -> Any:
        """Ask, and wait for the answer. Raises what the worker says, or Conflict."""
        with self._question_lock:
            self._send_question(question)
            return self._read_reply(self.replies.get())

    def map(self, what: protocol.MapItems, payloads: Iterator[msgspec.Raw]) -> str:
        """Have a run made of each payload; the id of the run that waits for them."""
        with self._question_lock:
            self._send_question(what)
            while isinstance(frame := self.replies.get(), protocol.NextItems):
                try:
                    self.send(protocol.ItemBatch(_next_batch(payloads)))
                except BaseException:
                    self.send(protocol.AbortItems())
                    self.replies.get()
                    raise
            return str(self._read_reply(frame))

    def close(self, last: protocol.Done) -> None:
        """Say how the attempt ended, and nothing more."""
        with self._send_lock:
            self._is_closed = True
            self._channel.send(last)

    def _send_question(self, question: protocol.Frame) -> None:
        if not self.send(question):
            raise Conflict("this attempt has ended: its context answers no more")

    def _read_reply(self, frame: protocol.Frame) -> Any:
        assert isinstance(frame, protocol.QuestionReply)  # noqa: S101 - a worker answers what it was asked
        if frame.error:
            kind = getattr(errors, frame.error, JobistemerError)
            raise kind(frame.text)
        return frame.value


class ContextProxy:
    """The tools of an attempt."""

    def __init__(
        self, connection: WorkerConnection, assignment: protocol.Assignment, prepare: PrepareCall | None
    ) -> None:
        self._connection = connection
        self._place = assignment.place
        self._prepare = prepare
        self._logger: ForwardingLogger | None = None
        self._transaction: Transaction | None = None
        self.permissions: Permissions = assignment.permissions

    @property
    def logger(self) -> Logger:
        """What it logs appears in the worker's log."""
        if self._logger is None:
            self._logger = ForwardingLogger(lambda *said: self._connection.send(protocol.AddLogLine(*said)))
        return self._logger

    @property
    def transaction(self) -> Transaction:
        """It goes to the worker with the outcome."""
        if self._transaction is None:
            keys = Keys(self._place.namespace, self._place.shard)
            self._transaction = Transaction(keys.own, lambda request: self._prepare_call(keys, request))
        return self._transaction

    def encode_effects(self) -> tuple[list[protocol.TransactionWrite], list[protocol.FollowUp]]:
        """Writes and follow-up calls as they are sent."""
        if self._transaction is None:
            return [], []
        writes = [
            protocol.TransactionWrite(each.command, each.key, [_encode_value(arg) for arg in each.args])
            for each in self._transaction.writes
        ]
        return writes, [
            protocol.FollowUp(msgspec.json.encode(message), call.script.name, list(call.keys), list(call.args))
            for message, call in self._transaction.follow_ups
        ]

    def note(self, text: str, level: str) -> None:
        """The worker stores it."""
        self._connection.send(protocol.AddNote(text, level))

    def show_progress(self, progress: Progress) -> None:
        """The worker stores it."""
        self._connection.send(protocol.SetProgress(progress))

    def ending(self) -> str:
        """As the worker has said; a cancelled attempt is not told, its process is killed."""
        return self._connection.ending

    def last_run_at(self) -> datetime | None:
        """The worker looks."""
        found: datetime | None = self._connection.ask(protocol.Question("last_run_at"))
        return found

    def is_first_of_occurrence(self) -> bool:
        """The worker asks."""
        return bool(self._connection.ask(protocol.Question("first_of_occurrence")))

    def limit(self, seconds: float) -> None:
        """The worker's watch looks at it."""
        self._connection.send(protocol.SetTimeLimit(seconds))

    def _prepare_call(self, keys: Keys, request: Any) -> Any:
        if self._prepare is None:
            raise Misconfigured(f"this process has no application, so it cannot enqueue {request!r:.80}")
        return self._prepare(keys, request)


class FanOutProxy:
    """`ctx.map`: items are made and checked here, runs by the worker."""

    def __init__(self, connection: WorkerConnection, handlers: Mapping[str, Handler]) -> None:
        self._connection = connection
        self._handlers = handlers

    def __call__(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add a run for each item; the id of the run that waits for them. Raises what `Context.map` says."""
        name = resolve_task_name(task)
        what = protocol.MapItems(name, None if reduce is None else resolve_task_name(reduce), failure)
        return self._connection.map(what, encode_items(name, self._handlers.get(name), items))

    async def call_in_thread(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self, task, items, reduce, failure)


def remote_results(
    connection: WorkerConnection, parameter: str, total: int, failed: int, decode: Decode
) -> Results[Any]:
    """Results of a group that the worker reads."""

    def read(first: int, count: int) -> list[bytes | None]:
        found: list[bytes | None] = []
        while len(found) < count:
            found += connection.ask(protocol.ReadResults(parameter, first + len(found), count - len(found)))
        return found

    return Results(total, failed, read, decode)


def _encode_value(value: Value) -> bytes | float:
    # Whole numbers may be longer than a frame can hold; the server reads them as text anyway.
    return value if isinstance(value, bytes | float) else str(value).encode()


def _next_batch(payloads: Iterator[msgspec.Raw]) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    while len(found) < MAX_BATCH_ITEMS and size < MAX_BATCH_BYTES:
        payload = next(payloads, None)
        if payload is None:
            break
        found.append(bytes(payload))
        size += len(found[-1])
    return found
