"""The services of a worker for the steps of one attempt: reading and writing records, waiting, calling functions."""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import msgspec

from jobistemer.core.errors import InvalidStep
from jobistemer.core.handlers.context import Logger
from jobistemer.core.handlers.durable import Steps
from jobistemer.core.handlers.hooks import PrepareCall
from jobistemer.core.handlers.step_flows import StepFlows
from jobistemer.core.handlers.step_host import StepHost, StepUpdate
from jobistemer.core.handlers.step_journal import StepJournal
from jobistemer.core.handlers.suspension import AttemptOver
from jobistemer.core.runs.message import WIRE_VERSION, Message
from jobistemer.core.runs.steps import UNDO_MARK
from jobistemer.core.runs.transaction import Transaction
from jobistemer.store.calls.durable import steps
from jobistemer.store.calls.durable.steps import StepWrite, mark_durable
from jobistemer.store.calls.transactions import commit_transaction
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.execute.server_wait import wait_for_server, wait_for_server_async
from jobistemer.worker.execute.step_recorder import Recorder, read_words, wait_to_end

SHORTEST_SUSPENSION_MS = 1_000
"""Shorter waits are waited for in the handler's slot."""
_OVER = "another worker has this run by now, or it has ended: this attempt may write nothing"


class StepDeadline(BaseException):
    """Raised in the thread of a step whose time is over."""


class _Tools(Protocol):
    def find_stop_reason(self) -> str: ...

    @property
    def logger(self) -> Logger: ...


class _Resources(Protocol):
    recorder: Recorder
    prepare: PrepareCall
    notify: Callable[[Message], None] | None


class WorkerStepHost:
    """The services for an attempt in the worker's own process."""

    shortest_suspension_ms = SHORTEST_SUSPENSION_MS

    def __init__(self, attempt: Attempt, tools: _Tools, resources: _Resources) -> None:
        self._attempt = attempt
        self._resources = resources
        self.find_stop_reason = tools.find_stop_reason
        self._tools = tools
        self.now_ms = attempt.database.clock.now_ms
        self.chance = random.random
        self.result_bytes = attempt.handler.sizes.result_bytes

    def warn(self, text: str) -> None:
        """Log a warning, and store it with the attempt."""
        self._tools.logger.warning("%s", text)

    def new_transaction(self) -> Transaction:
        """Return an empty transaction."""
        keys = self._attempt.database.keys
        return Transaction(keys.own, partial(self._resources.prepare, keys))

    def load(self) -> Mapping[bytes, bytes]:
        """Return what is on record; the server is asked only where an attempt before this one may have written."""
        attempt = self._attempt
        if attempt.records is not None:
            return attempt.records
        if not self.may_have_records():
            return {}
        # What earlier attempts have done is not done again for want of a server: the wait is that of the writes.
        return wait_for_server(partial(steps.read_steps, attempt.database, attempt.delivery.message.run))

    def may_have_records(self) -> bool:
        """Return whether an attempt before this one may have written records."""
        delivery = self._attempt.delivery
        return bool(delivery.attempt or delivery.crashes or delivery.message.wire == WIRE_VERSION)

    def record(self, update: StepUpdate) -> str:
        """Write records; while the server is away it waits on. Raises AttemptOver, InvalidStep, or ServerRefused."""
        if update.transaction is not None:
            return wait_for_server(partial(self.apply, update, update.transaction))
        return self.finish(self._resources.recorder.write(self._attempt.database, self.begin(update)))

    def record_later(self, update: StepUpdate) -> None:
        """Write records without waiting for it."""
        self._resources.recorder.write_later(self._attempt.database, self.begin(update))

    def signals(self) -> bytes:
        """Return the signals of the run as they are stored; while the server is away it waits on."""
        return wait_for_server(self.read_signals)

    def read_signals(self) -> bytes:
        """Return the signals of the run as they are stored. Raises NotConnected or ServerRefused."""
        return steps.read_signals(self._attempt.database, self._attempt.delivery.message.run)

    def sleep(self, seconds: float) -> None:
        """Wait in short pieces: a thread that never executes Python cannot be stopped."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Call a function. Raises TimeoutError when it takes longer than `seconds`."""
        return function(*args, **kwargs) if seconds is None else call_within(function, args, kwargs, seconds)

    def begin(self, update: StepUpdate) -> StepWrite:
        """Return what to write; from now on the run's message says that steps are on record."""
        attempt = self._attempt
        delivery = attempt.delivery
        message = mark_durable(delivery.message, can_undo=UNDO_MARK in update.records)
        if message is not delivery.message:
            delivery = attempt.delivery = msgspec.structs.replace(delivery, message=message)
        return StepWrite(delivery, update.records, update.take, update.unless)

    def finish(self, word: str) -> str:
        """Return DONE or SIGNALED. Raises AttemptOver when nothing may be written."""
        if word == "STALE":
            raise AttemptOver(_OVER)
        return "DONE" if word == "KNOWN" else word

    def apply(self, update: StepUpdate, transaction: Transaction) -> str:
        """Write records together with the writes and calls of the step; a second call of it applies nothing twice.

        Raises AttemptOver, InvalidStep, NotConnected or ServerRefused.
        """
        database, write = self._attempt.database, self.begin(update)
        record = steps.record_steps(database.keys, [write])
        calls = [call for _, call in transaction.follow_ups]
        reply = database.call(commit_transaction(write.delivery, record, transaction.writes, calls))
        if reply.word == "REFUSED":
            raise InvalidStep(f"the step was done, but its transaction was refused: {reply.values[0].decode()}")
        word = self.finish(read_words(reply)[0])
        if self._resources.notify is not None:
            for message, _ in transaction.follow_ups:
                self._resources.notify(message)
        return word


class AwaitedStepHost:
    """The services of any host, awaited in threads, and those that an event loop has itself."""

    def __init__(self, host: StepHost) -> None:
        self._host = host

    async def load(self) -> Mapping[bytes, bytes]:
        """Return the records of the steps."""
        return await asyncio.to_thread(self._host.load)

    async def record(self, update: StepUpdate) -> str:
        """Write records."""
        return await wait_to_end(asyncio.ensure_future(asyncio.to_thread(self._host.record, update)))

    async def signals(self) -> bytes:
        """Return the signals of the run."""
        return await asyncio.to_thread(self._host.signals)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def call(self, function: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Await a coroutine function, or call a plain function in a thread. Raises TimeoutError."""
        if inspect.iscoroutinefunction(function):
            async with asyncio.timeout(seconds):
                return await function(*args, **kwargs)
        if seconds is not None:
            value = await asyncio.to_thread(call_within, function, args, kwargs, seconds)
        else:
            value = await asyncio.to_thread(function, *args, **kwargs)
        return await value if inspect.isawaitable(value) else value


class WorkerAwaitedStepHost(AwaitedStepHost):
    """The services for a coroutine in the worker's own process."""

    def __init__(self, host: WorkerStepHost, attempt: Attempt, recorder: Recorder) -> None:
        super().__init__(host)
        self._worker_host, self._attempt, self._recorder = host, attempt, recorder

    async def load(self) -> Mapping[bytes, bytes]:
        """Return the records of the steps, read with those of other runs; without asking where there are none."""
        attempt = self._attempt
        if attempt.records is not None:
            return attempt.records
        if not self._worker_host.may_have_records():
            return {}
        return await self._recorder.read_async(attempt.database, attempt.delivery.message.run)

    async def signals(self) -> bytes:
        """Return the signals of the run."""
        return await wait_for_server_async(self._worker_host.read_signals)

    async def record(self, update: StepUpdate) -> str:
        """Write records."""
        host = self._worker_host
        if update.transaction is not None:
            apply = partial(host.apply, update, update.transaction)
            return await wait_to_end(asyncio.ensure_future(wait_for_server_async(apply)))
        return host.finish(await self._recorder.write_async(self._attempt.database, host.begin(update)))


def create_steps(attempt: Attempt, tools: _Tools, resources: _Resources) -> Steps:
    """Create the steps of an attempt in the worker's own process."""
    host = WorkerStepHost(attempt, tools, resources)
    flows = StepFlows(
        StepJournal(attempt.delivery.attempt, is_undoing=attempt.delivery.message.undoing is not None), host
    )
    return Steps(flows, WorkerAwaitedStepHost(host, attempt, resources.recorder))


def call_within(function: Callable[..., Any], args: Any, kwargs: Any, seconds: float) -> Any:
    """Call a function in this thread. Raises TimeoutError when it takes longer, as soon as it executes Python again."""
    lock, state, ident = threading.Lock(), {"done": False, "fired": False}, threading.get_ident()

    def fire() -> None:
        with lock:
            if not state["done"]:
                state["fired"] = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(StepDeadline))

    timer = threading.Timer(seconds, fire)
    timer.daemon = True
    timer.start()
    has_come = False
    try:
        try:
            return function(*args, **kwargs)
        except StepDeadline:
            has_come = True
            raise
        finally:
            with lock:
                state["done"] = True
            timer.cancel()
            if state["fired"] and not has_come:
                # The exception is on its way, or the function has swallowed it: it must hit nothing behind this line.
                _execute_python()
    except StepDeadline:
        raise TimeoutError(f"it took longer than {seconds:g} s") from None


def _execute_python() -> None:
    for _ in range(50):
        time.sleep(0.001)
