"""The context server: the worker's side of the context of an attempt that runs in a handler process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from jobistemer.core.errors import JobistemerError
from jobistemer.core.handlers.step_host import StepUpdate
from jobistemer.core.handlers.suspension import AttemptOver
from jobistemer.core.runs.message import decode_message
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.transaction import ALLOWED_COMMANDS, Transaction, Write
from jobistemer.store.scripts import script
from jobistemer.worker.attempts.attempt import Attempt, AttemptTools
from jobistemer.worker.attempts.run_logger import relay
from jobistemer.worker.execute.fan_out import FanOut
from jobistemer.worker.process import protocol
from jobistemer.worker.process.channel import ChannelClosed
from jobistemer.worker.process.handler_process import HandlerProcess

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""Size of a page of group results. A frame may be larger, but a page is in the memory of both processes."""


class _ItemsAborted(Exception):
    """The iterator of the items that were being mapped has raised an exception in the handler process."""


class ContextServer:
    """The answers to the frames of one attempt, given by the thread that waits for its outcome."""

    def __init__(
        self, attempt: Attempt, tools: AttemptTools, injected: Mapping[str, Any], process: HandlerProcess
    ) -> None:
        self._attempt = attempt
        self._tools = tools
        self._injected = injected
        self._process = process
        self._ending_sent = ""

    def check(self) -> None:
        """Send the process the reason why its handler should end, when there is a new one."""
        reason = self._tools.find_stop_reason()
        if reason != self._ending_sent:
            self._ending_sent = reason
            self._process.send(protocol.StopRequest(reason))

    def serve(self, frame: protocol.Frame) -> None:
        """Do what a frame of the process asks for. Raises ChannelClosed for a frame that asks for nothing."""
        tools = self._tools
        match frame:
            case protocol.AddNote():
                tools.store_line(frame.text, frame.level)
            case protocol.AddLogLine():
                tools.log_forwarded(frame.level, frame.text, frame.trace)
            case protocol.ForwardRecord():
                facts = msgspec.json.decode(frame.facts)
                relay(logging.getLogger(frame.logger), frame.level, frame.text, frame.trace, facts)
            case protocol.SetProgress():
                tools.set_progress(frame.progress)
            case protocol.SetTimeLimit():
                tools.set_time_limit(frame.seconds)
            case protocol.Question(what="cancel_reason"):
                self._answer(tools.find_cancel_reason)
            case protocol.Question(what="last_run_at"):
                self._answer(tools.find_last_run)
            case protocol.Question(what="steps"):
                self._answer(lambda: dict(tools.steps.flows.host.load()))
            case protocol.Question(what="signals"):
                self._answer(tools.steps.flows.host.signals)
            case protocol.RecordSteps():
                self._record(frame)
            case protocol.Question():
                self._answer(tools.is_first_of_occurrence)
            case protocol.ReadResults():
                self._answer(lambda: _read_page(self._injected[frame.parameter], frame.first, frame.count))
            case protocol.CollectPart():
                fan_out = FanOut(self._attempt, self._attempt.handlers)
                self._answer(lambda: fan_out.collect_part(frame.group, frame.count))
            case protocol.MapItems():
                self._map(frame)
            case _:
                raise ChannelClosed(f"a {type(frame).__name__} came without a question")

    def apply_effects(self, done: protocol.HandlerEnded) -> None:
        """Take over the handler's transaction, so that the commit applies it together with the outcome."""
        if done.writes or done.follow_ups:
            _fill_transaction(self._tools.transaction, done)

    def _record(self, frame: protocol.RecordSteps) -> None:
        host = self._tools.steps.flows.host
        update = StepUpdate(frame.records, frame.take, frame.unless)
        if frame.writes or frame.follow_ups:
            update = msgspec.structs.replace(update, transaction=_fill_transaction(host.new_transaction(), frame))
        if not frame.has_reply:
            host.record_later(update)
            return

        def record() -> str:
            try:
                return host.record(update)
            except AttemptOver:
                return "OVER"

        self._answer(record)

    def _map(self, frame: protocol.MapItems) -> None:
        fan_out = FanOut(self._attempt, self._attempt.handlers)

        def add() -> Any:
            payloads = self._receive_payloads()
            if frame.part:
                return fan_out.add_part(frame.task, payloads, frame.failure or "", frame.part)
            return fan_out.add(frame.task, payloads, frame.reduce, frame.failure)

        try:
            self._answer(add)
        except _ItemsAborted:
            self._process.send(protocol.QuestionReply())

    def _receive_payloads(self) -> Iterator[msgspec.Raw]:
        while True:
            self._process.send(protocol.NextItems())
            # The iterator of the items runs code of the handler, which may use its context meanwhile.
            while not isinstance(frame := self._process.receive(), protocol.ItemBatch | protocol.AbortItems):
                self.serve(frame)
            if isinstance(frame, protocol.AbortItems):
                raise _ItemsAborted
            if not frame.payloads:
                return
            yield from map(msgspec.Raw, frame.payloads)

    def _answer(self, question: Callable[[], Any]) -> None:
        try:
            answer = protocol.QuestionReply(question())
        except JobistemerError as error:
            answer = protocol.QuestionReply(error=type(error).__name__, text=str(error))
        self._process.send(answer)


def _fill_transaction(transaction: Transaction, frame: protocol.HandlerEnded | protocol.RecordSteps) -> Transaction:
    """Put the writes and the follow-up calls of a frame into a transaction, and return it."""
    transaction.writes = [
        Write(each.command, ALLOWED_COMMANDS[each.command], each.key, tuple(each.args)) for each in frame.writes
    ]
    transaction.follow_ups = [
        (decode_message(each.message), script(each.script)(tuple(each.keys), tuple(each.args)))
        for each in frame.follow_ups
    ]
    return transaction


def _read_page(results: Results[Any], first: int, count: int) -> list[bytes | None]:
    """Return as many of the results as fit into a page, at least one."""
    found, size = results.page(first, count), 0
    for position, each in enumerate(found, 1):
        size += len(each or b"")
        if size >= MAX_PAGE_BYTES:
            return found[:position]
    return found
