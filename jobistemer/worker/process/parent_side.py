"""The context server: what a worker does for the context of an attempt that runs in a process beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from jobistemer.core.errors import JobistemerError
from jobistemer.core.runs.message import decode_message
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.transaction import ALLOWED_COMMANDS, Write
from jobistemer.store.scripts import script
from jobistemer.worker.attempts.attempt import Attempt, AttemptTools
from jobistemer.worker.attempts.run_logger import relay
from jobistemer.worker.execute.fan_out import FanOut
from jobistemer.worker.process import protocol
from jobistemer.worker.process.channel import ChannelClosed
from jobistemer.worker.process.pool import HandlerProcess

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""Results of a group are sent in pages of about this size."""


class _ItemsAborted(Exception):
    """The items that were being mapped come to an early end."""


class ContextServer:
    """Everything that one attempt may ask for; done by the thread that waits for its end."""

    def __init__(
        self, attempt: Attempt, tools: AttemptTools, injected: Mapping[str, Any], process: HandlerProcess
    ) -> None:
        self._attempt = attempt
        self._tools = tools
        self._injected = injected
        self._process = process
        self._ending_sent = ""

    def check(self) -> None:
        """Tell the process when its handler should end."""
        why = self._tools.find_stop_reason()
        if why != self._ending_sent:
            self._ending_sent = why
            self._process.send(protocol.StopRequest(why))

    def serve(self, frame: protocol.Frame) -> None:
        """Do what the process asks for. Raises ChannelClosed when that is nothing that can be asked for."""
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
            case protocol.Question(what="last_run_at"):
                self._answer(tools.find_last_run)
            case protocol.Question():
                self._answer(tools.is_first_of_occurrence)
            case protocol.ReadResults():
                self._answer(lambda: _read_page(self._injected[frame.parameter], frame.first, frame.count))
            case protocol.MapItems():
                self._map(frame)
            case _:
                raise ChannelClosed(f"a {type(frame).__name__} came that nobody had asked for")

    def apply_effects(self, done: protocol.Done) -> None:
        """Take over what the handler has collected, to be applied with its outcome."""
        transaction = self._tools.transaction if done.writes or done.follow_ups else None
        if transaction is not None:
            transaction.writes = [
                Write(each.command, ALLOWED_COMMANDS[each.command], each.key, tuple(each.args)) for each in done.writes
            ]
            transaction.follow_ups = [
                (decode_message(each.message), script(each.script)(tuple(each.keys), tuple(each.args)))
                for each in done.follow_ups
            ]

    def _map(self, frame: protocol.MapItems) -> None:
        mapping = FanOut(self._attempt, self._attempt.handlers)
        try:
            self._answer(lambda: mapping.add(frame.task, self._payloads(), frame.reduce, frame.failure))
        except _ItemsAborted:
            self._process.send(protocol.QuestionReply())

    def _payloads(self) -> Iterator[msgspec.Raw]:
        while True:
            self._process.send(protocol.NextItems())
            # What makes the items may note something, or ask for something itself.
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


def _read_page(results: Results[Any], first: int, count: int) -> list[bytes | None]:
    """As many of the results as fit into a page; at least one."""
    found, size = results.page(first, count), 0
    for position, each in enumerate(found, 1):
        size += len(each or b"")
        if size >= MAX_PAGE_BYTES:
            return found[:position]
    return found
