"""The context of an attempt in a handler process. It sends its calls to the worker, which alone talks to Redis."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from queue import SimpleQueue
from typing import Any

import msgspec

from jobistemer.core import errors
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.errors import Conflict, JobistemerError, Misconfigured
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.handlers.context import Logger
from jobistemer.core.handlers.durable import Steps
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import PrepareCall
from jobistemer.core.handlers.step_flows import StepFlows
from jobistemer.core.handlers.step_journal import StepJournal
from jobistemer.core.handlers.value_codec import Decode
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.transaction import Transaction
from jobistemer.core.safe_text import make_storable
from jobistemer.store.keys import Keys
from jobistemer.worker.attempts.run_logger import ForwardingLogger
from jobistemer.worker.execute.fan_out import encode_items, resolve_task_name
from jobistemer.worker.execute.step_services import AwaitedStepHost
from jobistemer.worker.process import protocol
from jobistemer.worker.process.channel import Channel, ChannelClosed
from jobistemer.worker.process.step_proxy import StepHostProxy, encode_transaction

MAX_BATCH_ITEMS, MAX_BATCH_BYTES = 1_000, 1024 * 1024


class WorkerConnection:
    """The connection to the worker during one attempt. After the end, threads that the handler has left send nothing.

    replies: frames from the worker. ending: why the handler should end, empty while it may go on.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._send_lock = threading.Lock()
        # One question at a time, since replies do not name their questions. Reentrant: the iterator of the items that
        # are being mapped may ask a question itself.
        self._question_lock = threading.RLock()
        self._is_closed = False
        self.replies: SimpleQueue[protocol.Frame] = SimpleQueue()
        self.ending = ""

    def send(self, frame: protocol.Frame) -> bool:
        """Send a frame. Returns False, and sends nothing, when the attempt has ended. Raises ChannelClosed."""
        with self._send_lock:
            if not self._is_closed:
                self._channel.send(frame)
            return not self._is_closed

    def ask(self, question: protocol.Frame) -> Any:
        """Send a question and return the answer.

        Raises the error that the worker answers with, or Conflict when the attempt has ended.
        """
        with self._question_lock:
            self._send_question(question)
            return self._read_reply(self.replies.get())

    def map(self, request: protocol.MapItems, payloads: Iterator[msgspec.Raw]) -> Any:
        """Let the worker add a run for each payload. Returns the id of the run that waits for them.

        Raises what the iterator raises, or what `ask` raises.
        """
        with self._question_lock:
            self._send_question(request)
            while isinstance(frame := self.replies.get(), protocol.NextItems):
                try:
                    self.send(protocol.ItemBatch(_next_batch(payloads)))
                except BaseException:
                    # The worker still waits for items: it must give up before this thread may ask again.
                    self.send(protocol.AbortItems())
                    self.replies.get()
                    raise
            return self._read_reply(frame)

    def close(self, done: protocol.HandlerEnded) -> None:
        """Send the outcome of the attempt, and nothing after it."""
        with self._send_lock:
            self._is_closed = True
            self._channel.send(done)

    def leave(self) -> None:
        """Send nothing more, in a process that the handler has forked off: the connection belongs to its parent."""
        # New locks: threads that are not in this process may have held them.
        self._send_lock, self._question_lock = threading.Lock(), threading.RLock()
        self._is_closed = True

    def _send_question(self, question: protocol.Frame) -> None:
        if not self.send(question):
            raise Conflict("this context can no longer be used: its attempt has ended, or runs in another process")

    def _read_reply(self, frame: protocol.Frame) -> Any:
        if not isinstance(frame, protocol.QuestionReply):
            raise ChannelClosed(f"a {type(frame).__name__} came instead of a reply")
        if frame.error:
            kind = getattr(errors, frame.error, JobistemerError)
            raise kind(frame.text)
        return frame.value


class ContextProxy:
    """The tools of a context, each of which sends a frame to the worker."""

    def __init__(
        self, connection: WorkerConnection, assignment: protocol.Assignment, prepare: PrepareCall | None
    ) -> None:
        self._connection = connection
        self._assignment = assignment
        self._place = assignment.place
        self.used_steps: Steps | None = None
        self._prepare = prepare
        self._logger: ForwardingLogger | None = None
        self._transaction: Transaction | None = None
        self.permissions: Permissions = assignment.permissions

    @property
    def logger(self) -> Logger:
        """The logger of the attempt; its lines appear in the worker's log."""
        if self._logger is None:
            self._logger = ForwardingLogger(lambda *line: self._connection.send(protocol.AddLogLine(*line)))
        return self._logger

    @property
    def transaction(self) -> Transaction:
        """The transaction of the attempt, which goes to the worker together with the outcome."""
        if self._transaction is None:
            self._transaction = self.new_transaction()
        return self._transaction

    @property
    def steps(self) -> Steps:
        """The steps of the attempt, whose records the worker reads and writes."""
        if self.used_steps is None:
            host = StepHostProxy(self._connection, self, self._assignment)
            self.used_steps = Steps(
                StepFlows(StepJournal(host.attempt, is_undoing=self._assignment.is_undoing), host),
                AwaitedStepHost(host),
            )
        return self.used_steps

    def new_transaction(self) -> Transaction:
        """Return an empty transaction."""
        keys = Keys(self._place.namespace, self._place.shard)
        return Transaction(keys.own, lambda request: self._prepare_call(keys, request))

    def encode_effects(self) -> tuple[list[protocol.TransactionWrite], list[protocol.FollowUp]]:
        """Return the writes and the follow-up calls of the transaction as they are sent."""
        return encode_transaction(self._transaction)

    def store_line(self, text: str, level: str) -> None:
        """Let the worker add a line to the attempt's record."""
        self._connection.send(protocol.AddNote(make_storable(text), level))

    def set_progress(self, progress: Progress) -> None:
        """Let the worker store the progress."""
        self._connection.send(protocol.SetProgress(progress))

    def find_stop_reason(self) -> str:
        """Return why the handler should end, as the worker has sent it. A cancelled attempt is killed without it."""
        return self._connection.ending

    def find_cancel_reason(self) -> str:
        """Ask the worker why the run was cancelled."""
        return str(self._connection.ask(protocol.Question("cancel_reason")))

    def find_last_run(self) -> datetime | None:
        """Ask the worker when the job last ran."""
        found: datetime | None = self._connection.ask(protocol.Question("last_run_at"))
        return found

    def is_first_of_occurrence(self) -> bool:
        """Ask the worker whether no attempt of the occurrence has begun before this one."""
        return bool(self._connection.ask(protocol.Question("first_of_occurrence")))

    def set_time_limit(self, seconds: float) -> None:
        """Set a time limit in seconds, which the worker's watchdog enforces."""
        self._connection.send(protocol.SetTimeLimit(seconds))

    def _prepare_call(self, keys: Keys, request: Any) -> Any:
        if self._prepare is None:
            raise Misconfigured(f"this process has no application, so it cannot enqueue {request!r:.80}")
        return self._prepare(keys, request)


class FanOutProxy:
    """`ctx.map` in a handler process: it makes and checks the items, and the worker adds the runs."""

    def __init__(self, connection: WorkerConnection, handlers: Mapping[str, Handler]) -> None:
        self._connection = connection
        self._handlers = handlers

    def __call__(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add a run for each item. Returns the id of the run that waits for them. Raises what `Context.map` raises."""
        name = resolve_task_name(task)
        request = protocol.MapItems(name, None if reduce is None else resolve_task_name(reduce), failure)
        return str(self._connection.map(request, encode_items(name, self._handlers.get(name), items)))

    def start_part(self, task: Any, items: Iterable[Any], failure: str, number: int) -> tuple[str, int]:
        """Add the runs of a step. Returns their group and how many there are. Raises what `Context.map` raises."""
        name = resolve_task_name(task)
        request = protocol.MapItems(name, None, failure, number)
        group, count = self._connection.map(request, encode_items(name, self._handlers.get(name), items))
        return group, count

    def collect_part(self, group: str, count: int) -> list[bytes | None] | None:
        """Return the results of the runs of a step as they are stored; None while not all of them have ended."""
        found: list[bytes | None] | None = self._connection.ask(protocol.CollectPart(group, count))
        return found

    async def call_in_thread(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Do the same in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self, task, items, reduce, failure)


def remote_results(
    connection: WorkerConnection, parameter: str, total: int, failed: int, decode: Decode
) -> Results[Any]:
    """Return the results of a group; the worker reads them page by page."""

    def read(first: int, count: int) -> list[bytes | None]:
        found: list[bytes | None] = []
        while len(found) < count:
            found += connection.ask(protocol.ReadResults(parameter, first + len(found), count - len(found)))
        return found

    return Results(total, failed, read, decode)


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
