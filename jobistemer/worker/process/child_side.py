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
from jobistemer.core.handlers.hooks import Prepare
from jobistemer.core.handlers.injected import Decode
from jobistemer.core.permissions import Permissions
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.transaction import Transaction, Value
from jobistemer.store.keys import Keys
from jobistemer.worker.attempts.run_logger import SendingLogger
from jobistemer.worker.execute.fan_out_items import name_of, payloads_of
from jobistemer.worker.process import protocol
from jobistemer.worker.process.channel import Channel

MOST_ITEMS_AT_ONCE, MOST_BYTES_AT_ONCE = 1_000, 1024 * 1024


class Line:
    """The way to the worker during one attempt; what threads of the handler say after its end is heard by nobody."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._speaking = threading.Lock()
        # A handler's threads take turns; one that asks while its own items are mapped goes on.
        self._asking = threading.RLock()
        self._is_over = False
        self.answers: SimpleQueue[protocol.Frame] = SimpleQueue()
        self.ending = ""

    def tell(self, frame: protocol.Frame) -> bool:
        """Say something; whether the attempt goes on."""
        with self._speaking:
            if not self._is_over:
                self._channel.send(frame)
            return not self._is_over

    def ask(self, question: protocol.Frame) -> Any:
        """Ask, and wait for the answer. Raises what the worker says, or Conflict."""
        with self._asking:
            self._begin(question)
            return self._answer(self.answers.get())

    def map(self, what: protocol.Mapping, payloads: Iterator[msgspec.Raw]) -> str:
        """Have a run made of each payload; the id of the run that waits for them."""
        with self._asking:
            self._begin(what)
            while isinstance(frame := self.answers.get(), protocol.More):
                try:
                    self.tell(protocol.Items(_some(payloads)))
                except BaseException:
                    self.tell(protocol.Abandoned())
                    self.answers.get()
                    raise
            return str(self._answer(frame))

    def close(self, last: protocol.Done) -> None:
        """Say how the attempt ended, and nothing more."""
        with self._speaking:
            self._is_over = True
            self._channel.send(last)

    def _begin(self, question: protocol.Frame) -> None:
        if not self.tell(question):
            raise Conflict("this attempt has ended: its context answers no more")

    def _answer(self, frame: protocol.Frame) -> Any:
        assert isinstance(frame, protocol.Answer)  # noqa: S101 - a worker answers what it was asked
        if frame.error:
            kind = getattr(errors, frame.error, JobistemerError)
            raise kind(frame.text)
        return frame.value


class FarDesk:
    """The tools of an attempt."""

    def __init__(self, line: Line, assignment: protocol.Assignment, prepare: Prepare | None) -> None:
        self._line = line
        self._place = assignment.place
        self._prepare = prepare
        self._logger: SendingLogger | None = None
        self._transaction: Transaction | None = None
        self.permissions: Permissions = assignment.permissions

    @property
    def logger(self) -> Logger:
        """What it logs appears in the worker's log."""
        if self._logger is None:
            self._logger = SendingLogger(lambda *said: self._line.tell(protocol.Logged(*said)))
        return self._logger

    @property
    def transaction(self) -> Transaction:
        """It goes to the worker with the outcome."""
        if self._transaction is None:
            keys = Keys(self._place.namespace, self._place.shard)
            self._transaction = Transaction(keys.own, lambda request: self._prepared(keys, request))
        return self._transaction

    def collected(self) -> tuple[list[protocol.Step], list[protocol.FollowUp]]:
        """Writes and follow-up calls as they are sent."""
        if self._transaction is None:
            return [], []
        writes = [
            protocol.Step(each.command, each.key, [_as_sent(arg) for arg in each.args])
            for each in self._transaction.writes
        ]
        return writes, [
            protocol.FollowUp(msgspec.json.encode(message), call.script.name, list(call.keys), list(call.args))
            for message, call in self._transaction.follow_ups
        ]

    def note(self, text: str, level: str) -> None:
        """The worker stores it."""
        self._line.tell(protocol.Noted(text, level))

    def show_progress(self, progress: Progress) -> None:
        """The worker stores it."""
        self._line.tell(protocol.Shown(progress))

    def ending(self) -> str:
        """As the worker has said; a cancelled attempt is not told, its process is killed."""
        return self._line.ending

    def last_run_at(self) -> datetime | None:
        """The worker looks."""
        found: datetime | None = self._line.ask(protocol.Asked("last_run_at"))
        return found

    def first_of_occurrence(self) -> bool:
        """The worker asks."""
        return bool(self._line.ask(protocol.Asked("first_of_occurrence")))

    def limit(self, seconds: float) -> None:
        """The worker's watch looks at it."""
        self._line.tell(protocol.Limited(seconds))

    def _prepared(self, keys: Keys, request: Any) -> Any:
        if self._prepare is None:
            raise Misconfigured(f"this process has no application, so it cannot enqueue {request!r:.80}")
        return self._prepare(keys, request)


class FarMapping:
    """`ctx.map`: items are made and checked here, runs by the worker."""

    def __init__(self, line: Line, handlers: Mapping[str, Handler]) -> None:
        self._line = line
        self._handlers = handlers

    def __call__(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add a run for each item; the id of the run that waits for them. Raises what `Context.map` says."""
        name = name_of(task)
        what = protocol.Mapping(name, None if reduce is None else name_of(reduce), failure)
        return self._line.map(what, payloads_of(name, self._handlers.get(name), items))

    async def in_thread(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """The same without blocking the event loop."""
        return await asyncio.to_thread(self, task, items, reduce, failure)


def far_results(line: Line, parameter: str, total: int, failed: int, decode: Decode) -> Results[Any]:
    """Results of a group that the worker reads."""

    def read(first: int, count: int) -> list[bytes | None]:
        found: list[bytes | None] = []
        while len(found) < count:
            found += line.ask(protocol.Reading(parameter, first + len(found), count - len(found)))
        return found

    return Results(total, failed, read, decode)


def _as_sent(value: Value) -> bytes | float:
    # Whole numbers may be longer than a frame can hold; the server reads them as text anyway.
    return value if isinstance(value, bytes | float) else str(value).encode()


def _some(payloads: Iterator[msgspec.Raw]) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    while len(found) < MOST_ITEMS_AT_ONCE and size < MOST_BYTES_AT_ONCE:
        payload = next(payloads, None)
        if payload is None:
            break
        found.append(bytes(payload))
        size += len(found[-1])
    return found
