"""Errands: what a worker does for the context of an attempt that runs in a process beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from jobistemer.core.errors import JobistemerError
from jobistemer.core.runs.message import decode_message
from jobistemer.core.runs.results import Results
from jobistemer.core.runs.transaction import ALLOWED, Write
from jobistemer.store.scripts import script
from jobistemer.worker.attempts.attempt import AnyDesk, Flight
from jobistemer.worker.attempts.run_logger import relay
from jobistemer.worker.execute.fan_out import ItemMapping
from jobistemer.worker.process import protocol
from jobistemer.worker.process.channel import Closed
from jobistemer.worker.process.pool import Child

MOST_PAGE_BYTES = 4 * 1024 * 1024
"""Results of a group are sent in pages of about this size."""


class _Abandoned(Exception):
    """The items that were being mapped come to an early end."""


class Errands:
    """Everything that one attempt may ask for; done by the thread that waits for its end."""

    def __init__(self, flight: Flight, desk: AnyDesk, given: Mapping[str, Any], child: Child) -> None:
        self._flight = flight
        self._desk = desk
        self._given = given
        self._child = child
        self._told = ""

    def look(self) -> None:
        """Tell the process when its handler should end."""
        why = self._desk.ending()
        if why != self._told:
            self._told = why
            self._child.tell(protocol.Ending(why))

    def serve(self, frame: protocol.Frame) -> None:
        """Do what the process asks for. Raises Closed when that is nothing that can be asked for."""
        desk = self._desk
        match frame:
            case protocol.Noted():
                desk.note(frame.text, frame.level)
            case protocol.Logged():
                desk.pass_on(frame.level, frame.text, frame.trace)
            case protocol.Recorded():
                facts = msgspec.json.decode(frame.facts)
                relay(logging.getLogger(frame.logger), frame.level, frame.text, frame.trace, facts)
            case protocol.Shown():
                desk.show_progress(frame.progress)
            case protocol.Limited():
                desk.limit(frame.seconds)
            case protocol.Asked(what="last_run_at"):
                self._answer(desk.last_run_at)
            case protocol.Asked():
                self._answer(desk.first_of_occurrence)
            case protocol.Reading():
                self._answer(lambda: _page(self._given[frame.parameter], frame.first, frame.count))
            case protocol.Mapping():
                self._map(frame)
            case _:
                raise Closed(f"a {type(frame).__name__} came that nobody had asked for")

    def finish(self, done: protocol.Done) -> None:
        """Take over what the handler has collected, to be applied with its outcome."""
        transaction = self._desk.transaction if done.writes or done.follow_ups else None
        if transaction is not None:
            transaction.writes = [
                Write(each.command, ALLOWED[each.command], each.key, tuple(each.args)) for each in done.writes
            ]
            transaction.follow_ups = [
                (decode_message(each.message), script(each.script)(tuple(each.keys), tuple(each.args)))
                for each in done.follow_ups
            ]

    def _map(self, frame: protocol.Mapping) -> None:
        mapping = ItemMapping(self._flight, self._flight.handlers)
        try:
            self._answer(lambda: mapping.add(frame.task, self._payloads(), frame.reduce, frame.failure))
        except _Abandoned:
            self._child.tell(protocol.Answer())

    def _payloads(self) -> Iterator[msgspec.Raw]:
        while True:
            self._child.tell(protocol.More())
            # What makes the items may note something, or ask for something itself.
            while not isinstance(frame := self._child.hear(), protocol.Items | protocol.Abandoned):
                self.serve(frame)
            if isinstance(frame, protocol.Abandoned):
                raise _Abandoned
            if not frame.payloads:
                return
            yield from map(msgspec.Raw, frame.payloads)

    def _answer(self, question: Callable[[], Any]) -> None:
        try:
            answer = protocol.Answer(question())
        except JobistemerError as error:
            answer = protocol.Answer(error=type(error).__name__, text=str(error))
        self._child.tell(answer)


def _page(results: Results[Any], first: int, count: int) -> list[bytes | None]:
    """As many of the results as fit into a page; at least one."""
    found, size = results.page(first, count), 0
    for position, each in enumerate(found, 1):
        size += len(each or b"")
        if size >= MOST_PAGE_BYTES:
            return found[:position]
    return found
