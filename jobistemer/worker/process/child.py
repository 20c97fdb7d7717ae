"""The handler process: it imports the app once, then calls the handlers that its worker assigns, one at a time.

    python -m jobistemer.worker.process.child FD

Handlers run in its main thread, with the app's middleware around them. The process ends at once when its worker has
ended, because nothing could record the outcome.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec

from jobistemer.core.errors import InvalidPayload, Misconfigured, RefusedInput
from jobistemer.core.handlers.context import AttemptInfo, Context
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import Plugins
from jobistemer.core.handlers.worker_hooks import call_worker_hook
from jobistemer.core.runs.settle import Outcome
from jobistemer.runtime.exit import exit_process
from jobistemer.runtime.hooks import call_stop_hooks
from jobistemer.runtime.logging import enable_own_loggers
from jobistemer.runtime.process_info import read_memory_mib
from jobistemer.runtime.repeat import start_thread
from jobistemer.store.keys import Keys
from jobistemer.store.namespace import Namespace
from jobistemer.worker.attempts.run_logger import ForwardingHandler
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER
from jobistemer.worker.execute.execute import describe_error, outcome_of_error, outcome_of_result
from jobistemer.worker.execute.finish_steps import judge_steps, undo_steps
from jobistemer.worker.execute.forks import watch_forks
from jobistemer.worker.execute.middleware import apply_middleware
from jobistemer.worker.process.channel import Channel, ChannelClosed
from jobistemer.worker.process.child_side import ContextProxy, FanOutProxy, WorkerConnection, remote_results
from jobistemer.worker.process.protocol import (
    AppImported,
    Assignment,
    FollowUp,
    ForwardRecord,
    Frame,
    HandlerEnded,
    ImportApp,
    ShardLocation,
    StopRequest,
    TransactionWrite,
)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGHUP)


class App(Protocol):
    """The parts of the application that handlers need."""

    handlers: dict[str, Handler]
    namespace: Namespace

    @property
    def plugins(self) -> Plugins:
        """The middleware and hooks."""
        ...


class ChildRunner:
    """The handlers of the app, called one at a time.

    reference: of the app, MODULE:APP, for error texts.
    """

    def __init__(self, app: App, reference: str, channel: Channel) -> None:
        self._app = app
        self._reference = reference
        self._channel = channel
        self._plugins = app.plugins
        self._handlers = {DEFAULT_REDUCER.name: DEFAULT_REDUCER, **apply_middleware(app.handlers, self._plugins)}
        self._assignments: SimpleQueue[tuple[Assignment, WorkerConnection] | None] = SimpleQueue()
        self._connection = WorkerConnection(channel)
        self._is_busy = False
        self._loop_runner: asyncio.Runner | None = None

    def start(self) -> None:
        """Call the functions that the app has a worker process call at its start. Raises what they raise."""
        for hook in self._plugins.worker_hooks.starting:
            call_worker_hook(hook, self._run_on_loop)

    def work(self) -> None:
        """Run assignments until the worker closes the channel."""
        with watch_forks():
            while (received := self._assignments.get()) is not None:
                assignment, connection = received
                done = self._perform(assignment, connection)
                self._is_busy = False
                connection.close(done)
        call_stop_hooks(self._plugins.worker_hooks, self._run_on_loop)

    def forget_worker(self) -> None:
        """Close the channel, in a process that was forked off: its frames would stand among those of this one."""
        self._is_busy = False
        self._connection.leave()
        self._channel.close()

    def forward_record(self, logger: str, level: int, text: str, trace: str, facts: bytes) -> bool:
        """Let the worker log a line. Returns False when no attempt is running: then the worker does not listen."""
        return self._is_busy and self._connection.send(ForwardRecord(logger, level, text, trace, facts))

    def listen(self) -> None:
        """Receive frames from the worker until it closes the channel, which ends this process."""
        try:
            while True:
                self._handle_frame(self._channel.receive())
        except ChannelClosed:
            if self._is_busy:
                # The worker is gone. Without the kill the handler, and processes that it has started, would go on with
                # a run that another worker takes over.
                os.killpg(0, signal.SIGKILL)
            self._assignments.put(None)

    def _handle_frame(self, frame: Frame | None) -> None:
        if isinstance(frame, Assignment):
            self._is_busy, self._connection = True, WorkerConnection(self._channel)
            self._assignments.put((frame, self._connection))
        elif isinstance(frame, StopRequest):
            self._connection.ending = frame.why
        elif frame is not None:
            self._connection.replies.put(frame)

    def _perform(self, assignment: Assignment, connection: WorkerConnection) -> HandlerEnded:
        """Call a handler. Whatever it does, except the end of this process, becomes an outcome."""
        handler, place = self._handlers.get(assignment.handler), assignment.place
        if handler is None:
            outcome = outcome_of_error(
                RefusedInput(f"{self._reference} has no task {assignment.handler!r} when a process imports it")
            )
            return HandlerEnded(outcome, read_memory_mib(os.getpid()))
        if place.namespace == self._app.namespace.name:
            self._app.namespace.adopt(place.shards, place.now_ms)
        tools = ContextProxy(connection, assignment, partial(self._prepare_call, place))
        writes: list[TransactionWrite] = []
        follow_ups: list[FollowUp] = []
        try:
            outcome = self._call(handler, self._build_arguments(handler, assignment, connection, tools))
            writes, follow_ups = tools.encode_effects()
        except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a process
            outcome = outcome_of_error(error, handler.retry_filter)
        if assignment.is_undoing:
            return HandlerEnded(undo_steps(tools.used_steps), read_memory_mib(os.getpid()))
        if tools.used_steps is not None:
            outcome = judge_steps(tools.used_steps.flows.journal, outcome)
        return HandlerEnded(outcome, read_memory_mib(os.getpid()), writes, follow_ups)

    def _call(self, handler: Handler, arguments: dict[str, Any]) -> Outcome:
        # In a copy of the context: variables that a handler sets must not be seen by the next attempt.
        value = copy_context().run(handler.function, **arguments)
        return outcome_of_result(self._run_coroutine(value) if handler.is_coroutine else value, handler)

    def _run_on_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        # What a start function makes belongs to its loop, so this loop lasts as long as the process.
        self._loop_runner = self._loop_runner or asyncio.Runner()
        return self._loop_runner.run(coroutine)

    def _run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop_runner is None:
            return asyncio.run(coroutine)
        kept = asyncio.all_tasks(self._loop_runner.get_loop())
        try:
            # In a copy of the context: variables that a handler sets must not be seen by the next attempt.
            return self._loop_runner.run(coroutine, context=copy_context())
        finally:
            # What the handler has left running would go on during the next attempt.
            self._loop_runner.run(_cancel_others(kept))

    def _build_arguments(
        self, handler: Handler, assignment: Assignment, connection: WorkerConnection, tools: ContextProxy
    ) -> dict[str, Any]:
        try:
            found = handler.decode(msgspec.Raw(assignment.payload))
        except InvalidPayload as error:
            raise RefusedInput(str(error)) from None
        if handler.context_parameter is not None:
            facts = msgspec.json.decode(assignment.context, type=AttemptInfo)
            fan_out = FanOutProxy(connection, self._handlers)
            found[handler.context_parameter] = Context(**msgspec.structs.asdict(facts), tools=tools, mapping=fan_out)
        # The worker has decided which parameters are results of groups: those have counts here, all others values.
        for parameter, injected in handler.injected.items():
            if (counts := assignment.groups.get(parameter)) is not None:
                found[parameter] = remote_results(connection, parameter, *counts, injected.decode)
            else:
                found[parameter] = injected.decode(assignment.supplied[parameter])
        return found

    def _prepare_call(self, place: ShardLocation, keys: Keys, request: Any) -> Any:
        """Return the call that enqueues a request of the handler's transaction.

        Raises Misconfigured when the app has another namespace here than in the worker, or what `prepare` raises.
        """
        namespace, prepare = self._app.namespace, self._plugins.prepare
        if prepare is None or namespace.name != place.namespace:
            raise Misconfigured(
                f"transaction: {self._reference} has namespace {namespace.name!r} when a process imports it, its "
                f"worker has {place.namespace!r}: name it in JOBISTEMER_NAMESPACE, or start the worker with --namespace"
            )
        return prepare(keys, request)


async def _cancel_others(kept: set[asyncio.Task[Any]]) -> None:
    left = asyncio.all_tasks() - kept - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def main() -> None:
    """Run handlers for the worker at the other end of the socket, until it closes the channel."""
    # A signal to all processes of the worker is for the worker only, which lets its runs finish and then ends this one.
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    end = socket.socket(fileno=int(sys.argv[1]))
    # A program that a handler starts must not keep the channel open when this process has died.
    end.set_inheritable(False)
    channel = Channel(end)
    with suppress(ChannelClosed):
        _serve(channel)
    # A thread that a handler has left must not keep this process alive, since no worker would end it later.
    exit_process(0)


def _serve(channel: Channel) -> None:
    """Import the app and run assignments. Raises ChannelClosed when the worker ends before the app is imported."""
    start = channel.expect(ImportApp)
    assert start is not None  # noqa: S101 - without a time-out `expect` returns a frame or raises
    runner = _create_runner(start, channel)
    if not logging.getLogger().handlers:
        # The app has not set up logging at import, so its lines go where those of the worker go.
        logging.basicConfig(level=start.log_level, handlers=[ForwardingHandler(runner.forward_record)])
    enable_own_loggers()
    os.register_at_fork(after_in_child=runner.forget_worker)
    start_thread(runner.listen, "channel")
    channel.send(AppImported())
    runner.work()


def _create_runner(start: ImportApp, channel: Channel) -> ChildRunner:
    try:
        sys.path[:] = start.path
        return _start_runner(ChildRunner(load_app(start.app), start.app, channel))
    except BaseException as error:  # noqa: BLE001 - the worker reports whatever the import of the app raises
        with suppress(ChannelClosed):
            channel.send(AppImported(error=describe_error(error)))
        exit_process(1)


def _start_runner(runner: ChildRunner) -> ChildRunner:
    runner.start()
    return runner


def load_app(reference: str) -> App:
    """Import the app MODULE:APP. The reference is a setting of the worker; a message can never name a module."""
    module, _, attribute = reference.partition(":")
    app: App = getattr(import_module(module), attribute)
    return app


if __name__ == "__main__":
    main()
