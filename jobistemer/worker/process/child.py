"""The process beside a worker: imports the app once, then calls handlers as it is told, one at a time.

    python -m jobistemer.worker.process.child FD

It runs handlers in its main thread, with the app's middleware around them, and dies at once when its worker does:
nobody would take what it has to say.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextvars import copy_context
from functools import partial
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec

from jobistemer.core.errors import InvalidPayload, Misconfigured
from jobistemer.core.handlers.context import Circumstances, Context
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.hooks import Plugins
from jobistemer.core.handlers.injected import GroupResults, ReportOfEnd, UpstreamResult, UpstreamResults
from jobistemer.core.runs.report import Report
from jobistemer.core.runs.settle import Outcome
from jobistemer.runtime.exit import leave
from jobistemer.runtime.memory import memory_mib
from jobistemer.runtime.repeat import start_thread
from jobistemer.store.keys import Keys
from jobistemer.store.namespace import Namespace
from jobistemer.worker.attempts.run_logger import SendingHandler
from jobistemer.worker.execute.default_reducer import GATHER
from jobistemer.worker.execute.middleware import equipped
from jobistemer.worker.execute.outcomes import Refused, described, raised, returned
from jobistemer.worker.process.channel import Channel, Closed
from jobistemer.worker.process.child_side import FarDesk, FarMapping, Line, far_results
from jobistemer.worker.process.protocol import (
    Assignment,
    Done,
    Ending,
    FollowUp,
    Frame,
    Place,
    Ready,
    Recorded,
    Start,
    Step,
)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGHUP)


class App(Protocol):
    """What is needed of the application."""

    handlers: dict[str, Handler]
    namespace: Namespace

    @property
    def plugins(self) -> Plugins:
        """Its middleware and hooks."""
        ...


class Performer:
    """Calls the handlers of the app, one at a time."""

    def __init__(self, app: App, reference: str, channel: Channel) -> None:
        self._app = app
        self._reference = reference
        self._channel = channel
        self._plugins = app.plugins
        self._handlers = {GATHER.name: GATHER, **equipped(app.handlers, self._plugins)}
        self._waiting: SimpleQueue[tuple[Assignment, Line] | None] = SimpleQueue()
        self._line = Line(channel)
        self._is_busy = False

    def work(self) -> None:
        """Do what comes, until the worker closes the channel."""
        while (given := self._waiting.get()) is not None:
            assignment, line = given
            done = self._perform(assignment, line)
            self._is_busy = False
            line.close(done)

    def record(self, logger: str, level: int, text: str, trace: str, facts: bytes) -> bool:
        """Have a line logged by the worker; whether it is heard, which it is during an attempt."""
        return self._is_busy and self._line.tell(Recorded(logger, level, text, trace, facts))

    def listen(self) -> None:
        """Hear what the worker says; its silence ends this process."""
        try:
            while True:
                self._take(self._channel.receive())
        except Closed:
            if self._is_busy:
                # Whatever the handler does, its worker is gone, and with it what it started.
                os.killpg(0, signal.SIGKILL)
            self._waiting.put(None)

    def _take(self, frame: Frame | None) -> None:
        if isinstance(frame, Assignment):
            self._is_busy, self._line = True, Line(self._channel)
            self._waiting.put((frame, self._line))
        elif isinstance(frame, Ending):
            self._line.ending = frame.why
        elif frame is not None:
            self._line.answers.put(frame)

    def _perform(self, assignment: Assignment, line: Line) -> Done:
        """Call a handler; whatever it does, short of ending this process, is an outcome."""
        handler, place = self._handlers.get(assignment.handler), assignment.place
        if handler is None:
            outcome = raised(Refused(f"{self._reference} has no task {assignment.handler!r} when a process imports it"))
            return Done(outcome, memory_mib(os.getpid()))
        if place.namespace == self._app.namespace.name:
            self._app.namespace.adopt(place.shards, place.now_ms)
        desk = FarDesk(line, assignment, partial(self._prepared, place))
        writes: list[Step] = []
        follow_ups: list[FollowUp] = []
        try:
            outcome = self._called(handler, self._arguments(handler, assignment, line, desk))
            writes, follow_ups = desk.collected()
        except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a process
            outcome = raised(error, handler.retrying)
        return Done(outcome, memory_mib(os.getpid()), writes, follow_ups)

    def _called(self, handler: Handler, arguments: dict[str, Any]) -> Outcome:
        # What a handler sets in its context variables is gone with its attempt.
        value = copy_context().run(handler.function, **arguments)
        return returned(asyncio.run(value) if handler.is_coroutine else value, handler.sizes.result_bytes)

    def _arguments(self, handler: Handler, assignment: Assignment, line: Line, desk: FarDesk) -> dict[str, Any]:
        try:
            found = handler.decode(msgspec.Raw(assignment.payload))
        except InvalidPayload as error:
            raise Refused(str(error)) from None
        if handler.context_parameter is not None:
            told = msgspec.json.decode(assignment.context, type=Circumstances)
            mapping = FarMapping(line, self._handlers)
            found[handler.context_parameter] = Context(**msgspec.structs.asdict(told), tools=desk, mapping=mapping)
        for parameter, supply in handler.supplies.items():
            match supply:
                case GroupResults() | UpstreamResults():
                    counts = assignment.groups[parameter]
                    found[parameter] = far_results(line, parameter, *counts, supply.decode)
                case UpstreamResult():
                    found[parameter] = supply.decode(assignment.supplied[parameter])
                case ReportOfEnd():
                    found[parameter] = msgspec.json.decode(assignment.supplied[parameter], type=Report)
        return found

    def _prepared(self, place: Place, keys: Keys, request: Any) -> Any:
        """The call that enqueues a request. Raises what preparing it raises."""
        namespace, prepare = self._app.namespace, self._plugins.prepare
        if prepare is None or namespace.name != place.namespace:
            raise Misconfigured(
                f"transaction: {self._reference} has namespace {namespace.name!r} when a process imports it, its "
                f"worker has {place.namespace!r}: name it in JOBISTEMER_NAMESPACE, or start the worker with --namespace"
            )
        return prepare(keys, request)


def main() -> None:
    """Serve the worker at the other end of the socket until it closes it."""
    # What is sent to the whole group of the worker's processes is the worker's to hear, which ends this one in order.
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    start = channel.expect(Start)
    assert start is not None  # noqa: S101 - without a time-out something comes, or it raises
    performer = _opened(start, channel)
    if not logging.getLogger().handlers:
        # Where the app has not said what is to become of log lines, its worker has.
        logging.basicConfig(level=start.log_level, handlers=[SendingHandler(performer.record)])
    start_thread(performer.listen, "channel")
    channel.send(Ready())
    performer.work()
    # A thread that a handler has left would keep the process, of which nobody knows any more.
    leave(0)


def _opened(start: Start, channel: Channel) -> Performer:
    try:
        sys.path[:] = start.path
        return Performer(app_of(start.app), start.app, channel)
    except BaseException as error:  # noqa: BLE001 - whatever the application's code raises at import, its worker hears it
        channel.send(Ready(error=described(error)))
        leave(1)


def app_of(reference: str) -> App:
    """The app MODULE:APP. The reference is the worker's own, never one that came over the wire."""
    module, _, attribute = reference.partition(":")
    app: App = getattr(import_module(module), attribute)
    return app


if __name__ == "__main__":
    main()
