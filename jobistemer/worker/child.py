"""The process beside a worker: imports the app once, then calls handlers as it is told, one at a time.

    python -m jobistemer.worker.child FD

It runs handlers in its main thread, and dies at once when its worker does: nobody would take what it has to say.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from importlib import import_module
from queue import SimpleQueue
from typing import Any

import msgspec

from jobistemer.core.context import Circumstances, Context
from jobistemer.core.endings import Outcome
from jobistemer.core.errors import InvalidPayload
from jobistemer.core.handlers import Handler
from jobistemer.core.supplies import UpstreamResult
from jobistemer.runtime.memory import memory_mib
from jobistemer.runtime.repeating import start_thread
from jobistemer.worker.channel import Assignment, Channel, Closed, Done, Ready, Start
from jobistemer.worker.outcomes import Refused, described, raised, returned

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGHUP)


def main() -> None:
    """Serve the worker at the other end of the socket until it closes it."""
    # What is sent to the whole group of the worker's processes is the worker's to hear, which ends this one in order.
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    waiting: SimpleQueue[Assignment | None] = SimpleQueue()
    busy: list[Assignment] = []
    handlers = _opened(channel)
    start_thread(lambda: _listen(channel, waiting, busy), "channel")
    while (assignment := waiting.get()) is not None:
        outcome = perform(handlers[assignment.handler], assignment)
        busy.clear()
        channel.send(Done(outcome, memory_mib(os.getpid())))


def _opened(channel: Channel) -> Mapping[str, Handler]:
    start = channel.receive(Start)
    assert start is not None  # noqa: S101 - without a time-out something comes, or it raises
    try:
        sys.path[:] = start.path
        found = handlers_of(start.app)
    except BaseException as error:  # noqa: BLE001 - whatever the application's code raises at import, its worker hears it
        channel.send(Ready(error=described(error)))
        raise SystemExit(1) from None
    channel.send(Ready())
    return found


def handlers_of(reference: str) -> Mapping[str, Handler]:
    """The handlers of the app MODULE:APP. The reference is the worker's own, never one that came over the wire."""
    module, _, attribute = reference.partition(":")
    handlers: Mapping[str, Handler] = getattr(import_module(module), attribute).handlers
    return handlers


def _listen(channel: Channel, waiting: SimpleQueue[Assignment | None], busy: list[Assignment]) -> None:
    try:
        while (assignment := channel.receive(Assignment)) is not None:
            busy.append(assignment)
            waiting.put(assignment)
    except Closed:
        if busy:
            # Whatever the handler does, its worker is gone, and with it what it started.
            os.killpg(0, signal.SIGKILL)
        waiting.put(None)


def perform(handler: Handler, assignment: Assignment) -> Outcome:
    """Call a handler; whatever it does, short of ending this process, is an outcome."""
    try:
        value = handler.function(**_arguments(handler, assignment))
        return returned(asyncio.run(value) if handler.is_coroutine else value)
    except BaseException as error:  # noqa: BLE001 - `sys.exit` in a handler ends an attempt, not a process
        return raised(error, handler.retrying)


def _arguments(handler: Handler, assignment: Assignment) -> dict[str, Any]:
    try:
        found = handler.decode(assignment.payload)
    except InvalidPayload as error:
        raise Refused(str(error)) from None
    if handler.context_parameter is not None:
        told = msgspec.json.decode(assignment.context, type=Circumstances)
        found[handler.context_parameter] = Context(**msgspec.structs.asdict(told))
    for name, value in assignment.supplied.items():
        supply = handler.supplies[name]
        assert isinstance(supply, UpstreamResult)  # noqa: S101 - a worker with others does not start
        found[name] = supply.decode(value)
    return found


if __name__ == "__main__":
    main()
