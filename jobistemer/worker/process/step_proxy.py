"""The services of steps in a handler process: the worker reads and writes the records."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from jobistemer.core.handlers.context import Logger
from jobistemer.core.handlers.step_host import StepUpdate
from jobistemer.core.handlers.suspension import AttemptOver
from jobistemer.core.runs.transaction import Transaction, Value
from jobistemer.worker.execute.step_services import SHORTEST_SUSPENSION_MS, call_within
from jobistemer.worker.process import protocol


class _Connection(Protocol):
    def send(self, frame: protocol.Frame) -> bool: ...

    def ask(self, question: protocol.Frame) -> Any: ...


class _Tools(Protocol):
    def find_stop_reason(self) -> str: ...

    @property
    def logger(self) -> Logger: ...

    def new_transaction(self) -> Transaction: ...


class StepHostProxy:
    """The services of an attempt's steps, each of which asks the worker."""

    shortest_suspension_ms = SHORTEST_SUSPENSION_MS

    def __init__(self, connection: _Connection, tools: _Tools, assignment: protocol.Assignment) -> None:
        self._connection = connection
        self.attempt = assignment.attempt
        self.result_bytes = assignment.result_bytes
        self._ahead_s = assignment.place.now_ms / 1000 - time.monotonic()
        self.find_stop_reason = tools.find_stop_reason
        self._tools = tools
        self.new_transaction = tools.new_transaction
        self.chance = random.random

    def warn(self, text: str) -> None:
        """Let the worker log a warning and store it with the attempt."""
        self._tools.logger.warning("%s", text)

    def now_ms(self) -> int:
        """Return the time of the server, counted from the beginning of the assignment."""
        return round((time.monotonic() + self._ahead_s) * 1000)

    def load(self) -> Mapping[bytes, bytes]:
        """Return the records of the steps of the run."""
        found: dict[bytes, bytes] = self._connection.ask(protocol.Question("steps"))
        return found

    def record(self, update: StepUpdate) -> str:
        """Write records. Raises AttemptOver, InvalidStep, or ServerRefused."""
        word = self._connection.ask(_build_request(update))
        if word == "OVER":
            raise AttemptOver("another worker has this run by now, or it has ended: this attempt may write nothing")
        return str(word)

    def record_later(self, update: StepUpdate) -> None:
        """Let the worker write records, without waiting for it."""
        self._connection.send(msgspec.structs.replace(_build_request(update), has_reply=False))

    def signals(self) -> bytes:
        """Return the signals of the run as they are stored."""
        return bytes(self._connection.ask(protocol.Question("signals")))

    def sleep(self, seconds: float) -> None:
        """Wait: a process is stopped by killing it."""
        time.sleep(seconds)

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any, seconds: float | None) -> Any:
        """Call a function. Raises TimeoutError when it takes longer than `seconds`."""
        return function(*args, **kwargs) if seconds is None else call_within(function, args, kwargs, seconds)


def _build_request(update: StepUpdate) -> protocol.RecordSteps:
    writes, follow_ups = encode_transaction(update.transaction)
    return protocol.RecordSteps(dict(update.records), update.take, update.unless, writes, follow_ups)


def encode_transaction(
    transaction: Transaction | None,
) -> tuple[list[protocol.TransactionWrite], list[protocol.FollowUp]]:
    """Return the writes and the follow-up calls of a transaction as they are sent."""
    if transaction is None:
        return [], []
    writes = [
        protocol.TransactionWrite(each.command, each.key, [_encode_value(arg) for arg in each.args])
        for each in transaction.writes
    ]
    return writes, [
        protocol.FollowUp(msgspec.json.encode(message), call.script.name, list(call.keys), list(call.args))
        for message, call in transaction.follow_ups
    ]


def _encode_value(value: Value) -> bytes | float:
    # MessagePack has no integers beyond 64 bits; the server reads numbers as text anyway.
    return value if isinstance(value, bytes | float) else str(value).encode()
