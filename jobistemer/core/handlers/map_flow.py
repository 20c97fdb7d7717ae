"""The flow of a step whose work is done by many runs: they are added, and their parent is suspended until all end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from jobistemer.core.errors import InvalidStep, StepFailed
from jobistemer.core.handlers.step_flows import StepFlows
from jobistemer.core.handlers.step_host import Flow, StepUpdate
from jobistemer.core.runs.settle import Suspension
from jobistemer.core.runs.steps import MAP, StepRecord

LOOK_MS = 60_000
"""A run that waits for others looks after them so often in any case: the worker that was to wake it may have died."""


class PartMapper(Protocol):
    """The part of `Mapper` that steps need."""

    def start_part(self, task: Any, items: Iterable[Any], failure: str, number: int) -> tuple[str, int]:
        """See `Mapper`."""
        ...

    def collect_part(self, group: str, count: int) -> list[bytes | None] | None:
        """See `Mapper`."""
        ...


def step_map(
    flows: StepFlows, mapper: PartMapper, name: str, task: Any, items: Iterable[Any], failure: str
) -> Flow[Any]:
    """Return the results of a run for each item, in order, as JSON says them."""
    yield from flows.load()
    journal, host = flows.journal, flows.host
    identity, number = journal.ask(name), journal.number_of(MAP)
    record = journal.find(identity)
    if record is not None and record.done:
        return msgspec.json.decode(record.value)
    flows.check_ending()
    if record is None:
        group, count = yield ("call", mapper.start_part, (task, items, failure, number), {}, None)
        # In the cursor: which group it is, how many runs it has, and how often they were looked after (older releases).
        cursor, began = _write(group, count, 0), host.now_ms()
        record = StepRecord(MAP, journal.place_of(identity), 0, journal.attempt, began, cursor=cursor)
        records = journal.write(identity, record)
        yield ("record", StepUpdate(records))
        journal.keep(records)
    group, count, looks = msgspec.json.decode(record.cursor, type=tuple[str, int, int])
    # A group of no runs is on no record.
    while (found := (yield ("call", mapper.collect_part, (group, count), {}, None)) if count else []) is None:
        looks += 1
        due_at = host.now_ms() + LOOK_MS
        record = msgspec.structs.replace(record, cursor=_write(group, count, looks), due_at=due_at)
        if host.shortest_suspension_ms > LOOK_MS:
            yield ("sleep", LOOK_MS / 1000)
            continue
        records, reason = journal.write(identity, record), f"waits for the {count} runs of step {identity}"
        flows.suspend(Suspension(due_at, reason, records=records, group=group, members=count))
    values = _read_results(identity, found, failure)
    value = msgspec.Raw(msgspec.json.encode(values))
    if len(bytes(value)) > host.result_bytes:
        size = f"{len(bytes(value))} bytes, allowed are {host.result_bytes}"
        raise InvalidStep(f"the results of step {identity!r} have {size}: return references, or use ctx.map")
    ended = msgspec.structs.replace(record, done=journal.next_place(), ended_at=host.now_ms(), value=value, due_at=0)
    records = journal.write(identity, ended)
    yield ("record", StepUpdate(records))
    journal.keep(records)
    return msgspec.json.decode(value)


def _write(group: str, count: int, looks: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode((group, count, looks)))


def _read_results(identity: str, found: list[bytes | None], failure: str) -> list[Any]:
    failed = [(index, each) for index, each in enumerate(found) if each is None or each[:1] == b"!"]
    if failed and failure != "continue":
        index, why = failed[0]
        text = (why or b"!its result is gone")[1:].decode(errors="replace")
        raise StepFailed(
            f"{len(failed)} of the {len(found)} runs of step {identity!r} have failed; item {index} {text}"
        )
    lost = {index for index, _ in failed}
    return [None if index in lost else msgspec.Raw(each or b"null") for index, each in enumerate(found)]
