"""`ctx.map`: make one run of each item, and one that waits for all of them.

Children get their ids from the group and their index, and the group counts how many were added, so that an attempt
that comes after a crash adds only the missing ones. The reducer is created by the commit of this attempt: until then
nothing waits, and an attempt that never commits leaves nothing behind but children that are executed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.checks import check_name
from jobistemer.core.errors import Conflict, InvalidInput, InvalidPayload, JobistemerError, RefusedInput
from jobistemer.core.handlers.control_errors import Fail
from jobistemer.core.handlers.handler import Handler, encode_payload
from jobistemer.core.handlers.injected import GroupResults
from jobistemer.core.handlers.suspension import UndoReached
from jobistemer.core.handlers.type_fit import can_never_fit, show_type
from jobistemer.core.jobs.job import FailureStrategy
from jobistemer.core.jobs.options import Options, complete_options
from jobistemer.core.runs.message import EMPTY_PAYLOAD, GroupMember, Message, compose_message, to_message_fields
from jobistemer.store.calls import groups, jobs
from jobistemer.store.calls.groups import BATCH
from jobistemer.store.keys import place
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.execute.default_reducer import DEFAULT_REDUCER
from jobistemer.worker.execute.server_wait import MAX_WAIT_S, wait_for_server

MAX_ITEMS = 1_000_000
"""How many items one call may be given."""
MAX_MAPS = 50
"""How many groups one attempt may make; they are sealed in one script."""
PAGE = 1_000
"""How many results of a step are read at a time."""
CALLS_AT_ONCE = 10
"""How many calls that add a hundred children each go into one round trip."""


class FanOut:
    """The `ctx.map` of one attempt."""

    def __init__(self, attempt: Attempt, handlers: Mapping[str, Handler]) -> None:
        self._attempt = attempt
        self._handlers = handlers

    def __call__(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Add a run for each item; return the id of the run that waits for them. Raises as `Context.map` does."""
        name = resolve_task_name(task)
        payloads = encode_items(name, self._handlers.get(name), items)
        return self.add(name, payloads, None if reduce is None else resolve_task_name(reduce), failure)

    def add(self, name: str, payloads: Iterable[msgspec.Raw], reduce: str | None, failure: str | None) -> str:
        """Add a run for each payload; return the id of the run that waits for them. Raises as `Context.map` does."""
        if self._attempt.delivery.message.undoing is not None:
            raise UndoReached
        number = self._attempt.groups_made
        if number >= MAX_MAPS:
            raise Conflict(f"ctx.map was called {number} times in this attempt, which is the most: map runs that map")
        # Counted before anything is added: a group that is never completed must be known when the run ends.
        self._attempt.groups_made += 1
        parent = self._attempt.delivery.message
        strategy = self._choose_strategy(failure)
        _check_reducer(self._handlers.get(reduce or ""), self._handlers.get(name))
        reducer = self._compose_reducer(
            ids.reducer_run_id(parent.run, number), reduce or DEFAULT_REDUCER.name, strategy
        )
        member = GroupMember(reducer.run, 0, place(reducer.queue, reducer.priority))
        self._add_all(self._compose_children(name, payloads, member), strategy, number)
        self._attempt.reducers += (reducer,)
        return reducer.run

    def start_part(self, task: Any, items: Iterable[Any], failure: str, number: int) -> tuple[str, int]:
        """Add the runs of a step; return their group and how many there are. Raises as `Context.map` does."""
        name = resolve_task_name(task)
        return self.add_part(name, encode_items(name, self._handlers.get(name), items), failure, number)

    def add_part(self, name: str, payloads: Iterable[msgspec.Raw], failure: str, number: int) -> tuple[str, int]:
        """Add a run for each payload of a step. No reducer waits for them: their parent is suspended until then."""
        # The groups of steps are numbered from the top, those of `ctx.map` from the bottom.
        number = MAX_MAPS - number
        if number < self._attempt.groups_made:
            raise Conflict(f"ctx.map and ctx.step_map were called more than {MAX_MAPS} times: map runs that map")
        group = ids.reducer_run_id(self._attempt.delivery.message.run, number)
        parent = self._attempt.delivery.message
        member = GroupMember(group, 0, place(parent.queue, parent.priority), parent.run)
        children = self._compose_children(name, payloads, member)
        return group, self._add_all(children, self._choose_strategy(failure), number)

    def collect_part(self, group: str, count: int) -> list[bytes | None] | None:
        """Return the results of the runs of a step as they are stored; None while not all of them have ended.

        Raises NotConnected or ServerRefused, or Fail when their results are gone.
        """
        return wait_for_server(partial(self._read_part, group, count), MAX_WAIT_S)

    def _read_part(self, group: str, count: int) -> list[bytes | None] | None:
        database = self._attempt.database
        state = groups.find_group(database, group)
        if state is None:
            raise Fail(f"the results of the {count} runs of this step are gone: they were kept for thirty days")
        if state.done < count:
            return None
        pages = [groups.read_results(database, group, at, min(PAGE, count - at)) for at in range(0, count, PAGE)]
        return [each for page in pages for each in page]

    async def call_in_thread(self, task: Any, items: Iterable[Any], reduce: Any, failure: str | None) -> str:
        """Do the same in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self, task, items, reduce, failure)

    def _choose_strategy(self, failure: str | None) -> FailureStrategy:
        slot = self._attempt.delivery.message.task_ref
        if failure is not None:
            if failure not in list(FailureStrategy):
                raise InvalidInput(f"failure is {failure!r}, allowed are {', '.join(FailureStrategy)}")
            return FailureStrategy(failure)
        if slot is None:
            return FailureStrategy.FAIL_FAST
        job = wait_for_server(partial(jobs.find_version, self._attempt.database, slot.job, slot.version), MAX_WAIT_S)
        return job.strategy_of(slot.task) if job else FailureStrategy.FAIL_FAST

    def _compose_reducer(self, run: str, name: str, strategy: FailureStrategy) -> Message:
        # The only one takes the parent's place: in its occurrence, and in the group that the parent belongs to.
        parent = self._attempt.delivery.message
        inherited = {"task_ref": parent.task_ref, "member": parent.member, "metadata": parent.metadata}
        inherited["headers"] = parent.headers
        options = to_message_fields(complete_options(self._options(name)))
        if parent.task_ref is not None:
            options |= {"retention_ms": parent.retention_ms}
        now_ms = self._attempt.database.clock.now_ms()
        return compose_message(run, name, now_ms, **options, **inherited, group_strategy=strategy.value)

    def _compose_children(self, name: str, payloads: Iterable[msgspec.Raw], member: GroupMember) -> Iterator[Message]:
        options = to_message_fields(complete_options(self._options(name)))
        # Headers travel on with the children, such as the trace that the parent belongs to.
        options["headers"] = self._attempt.delivery.message.headers
        now_ms = self._attempt.database.clock.now_ms()
        for index, payload in enumerate(payloads):
            own = GroupMember(member.group, index, member.place, member.parent)
            yield compose_message(
                ids.child_run_id(member.group, index), name, now_ms, payload=payload, member=own, **options
            )

    def _add_all(self, children: Iterator[Message], strategy: FailureStrategy, number: int) -> int:
        database, delivery = self._attempt.database, self._attempt.delivery
        added = 0
        # A thousand at a time: items may be a generator, and a million of them must never be in memory together.
        while found := list(islice(children, BATCH * CALLS_AT_ONCE)):
            parts = [found[at : at + BATCH] for at in range(0, len(found), BATCH)]
            calls = [
                groups.add_children(database.keys, delivery, strategy.value, added + at * BATCH, part, number)
                for at, part in enumerate(parts)
            ]
            for reply in wait_for_server(partial(database.call_all, calls), MAX_WAIT_S):
                if isinstance(reply, JobistemerError):
                    raise reply
                if reply.word == "STALE":
                    what = f"attempt {delivery.attempt + 1} of run {delivery.message.run}"
                    raise Conflict(f"{what} is over: it maps no more")
            added += len(found)
        return added

    def _options(self, name: str) -> Options:
        handler = self._handlers.get(name)
        return handler.options if handler else Options()


def resolve_task_name(task: Any) -> str:
    """Return the name of a task that was given as itself or by name. Raises InvalidName."""
    return check_name("task", task if isinstance(task, str) else getattr(task, "name", task))


def encode_items(name: str, handler: Handler | None, items: Iterable[Any]) -> Iterator[msgspec.Raw]:
    """Yield the payload of each item. Raises InvalidPayload, PayloadTooLarge or InvalidInput."""
    for index, item in enumerate(items):
        if index >= MAX_ITEMS:
            raise InvalidInput(f"ctx.map was given more than {MAX_ITEMS} items: map pages of them, which map in turn")
        yield _encode_item(name, handler, index, item)


def _encode_item(name: str, handler: Handler | None, index: int, item: Any) -> msgspec.Raw:
    # An item is a mapping of keyword arguments, or the single argument.
    try:
        if handler is None:
            if not isinstance(item, Mapping):
                raise InvalidPayload(f"this worker does not know task {name!r}, so items must be mappings of arguments")
            return encode_payload(name, item)
        return handler.encode_arguments(item) if isinstance(item, Mapping) else handler.encode((item,), {})
    except InvalidInput as error:
        raise type(error)(f"item {index} of ctx.map: {error}") from None


def _check_reducer(reducer: Handler | None, mapped: Handler | None) -> None:
    """Refuse a reducer that would end in the dead letters after all its work was done; an unknown one may be right.

    Raises RefusedInput: another attempt would name the same reducer.
    """
    if reducer is None:
        return
    try:
        reducer.decode(EMPTY_PAYLOAD)
    except InvalidPayload as error:
        raise RefusedInput(
            f"task {reducer.name!r} cannot be a reducer, which is given a parameter annotated Results[…] only: {error}"
        ) from None
    # A task that maps in its turn has the result of its own reducer, whatever its annotation says.
    if mapped is not None and mapped.context_parameter is None:
        _check_annotations(reducer, mapped)


def _check_annotations(reducer: Handler, mapped: Handler) -> None:
    for parameter, injected in reducer.injected.items():
        if isinstance(injected, GroupResults) and can_never_fit(mapped.result_codec.annotation, injected.annotation):
            raise RefusedInput(
                f"task {reducer.name!r} cannot be the reducer of task {mapped.name!r}: its parameter {parameter!r} is "
                f"annotated Results[{show_type(injected.annotation)}], and {mapped.name!r} returns "
                f"{show_type(mapped.result_codec.annotation)}"
            )
