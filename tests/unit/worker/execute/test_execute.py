"""Running one attempt, without a server: the payload in, the handler called, an outcome out."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.message import Delivery, TaskRef, encode_message
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.execute.context_tools import ContextResources, ContextTools
from jobistemer.worker.execute.execute import run, run_async
from jobistemer.worker.slots.event_loop import EventLoop
from tests.support.clocks import NOW, FrozenClock
from tests.support.lifecycle import build_attempt, message

HERE = SimpleNamespace(clock=FrozenClock())
"""All that executing needs of a database: its clock."""


def make_attempt(function, payload=b"{}", attempt=0, **changes):
    import msgspec

    sent = message(payload=msgspec.Raw(payload), **changes)
    assert encode_message(sent)
    return build_attempt(HERE, Delivery(b"s", b"1-0", sent, attempt, 0), Handler("greet", function, Options()))


def executed(function, payload=b"{}", **changes):
    """The outcome, in whichever colour the function has."""
    attempts = RunningAttempts(create_tools=partial(ContextTools, resources=ContextResources(Permissions())))
    one = make_attempt(function, payload, **changes)
    if one.handler.is_coroutine:
        assert asyncio.run(run_async(one, attempts, lambda: None))
    else:
        assert run(one, attempts, lambda: None)
    assert attempts.running() == []
    return one.outcome


def plain(text: str, times: int = 1) -> str:
    return text * times


async def coroutine(text: str, times: int = 1) -> str:
    await asyncio.sleep(0)
    return text * times


@pytest.fixture(params=[plain, coroutine])
def function(request):
    return request.param


def test_the_payload_becomes_keyword_arguments_and_the_result_is_stored(function):
    assert executed(function, b'{"text": "ab", "times": 2}').result == b'"abab"'
    assert executed(function, b'{"text": "ab"}').result == b'"ab"'


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b'{"text": 5}', "Expected `str`, got `int` - at `$.text`"),
        (b"{}", "Object missing required field `text`"),
        (b'{"text": "a", "size": 3}', "Object contains unknown field `size`"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_the_path_and_for_good(function, payload, words):
    outcome = executed(function, payload)
    assert (outcome.state, outcome.poison) == ("failed", True)
    assert words in outcome.error
    assert "payload of task 'greet' does not fit" in outcome.error


def test_an_error_of_the_handler_is_a_failure(function):
    assert executed(function, b'{"text": "a", "times": 0}').result == b'""'

    def breaks() -> None:
        raise ValueError("broken")

    async def breaks_async() -> None:
        raise ValueError("broken")

    for each in (breaks, breaks_async):
        outcome = executed(each)
        assert (outcome.state, outcome.poison, outcome.final) == ("failed", False, False)
        assert outcome.error.startswith("ValueError: broken")


def test_a_coroutine_that_cancels_itself_has_failed():
    async def gives_up() -> None:
        raise asyncio.CancelledError

    assert executed(gives_up).state == "failed"


def test_a_handler_that_asks_for_its_context_is_told_about_its_attempt():
    told = []

    def curious(context: Context, text: str) -> None:
        told.append((context, text))

    slot = TaskRef("occ_1", "job_1", 2, NOW // 1000 - 60, "curious")
    executed(curious, b'{"text": "x"}', attempt=3, task_ref=slot, metadata={"who": "me"})

    ((context, text),) = told
    assert (text, context.run, context.attempt, context.fencing_token) == ("x", "run_1", 3, 4)
    assert (context.job, context.occurrence, context.metadata) == ("job_1", "occ_1", {"who": "me"})
    assert context.due_at == datetime.fromtimestamp(NOW / 1000 - 60, UTC)
    assert context.started_at == datetime.fromtimestamp(NOW / 1000, UTC)


def test_an_attempt_that_was_stopped_meanwhile_is_not_for_its_slot_to_report():
    attempts = RunningAttempts()
    one = make_attempt(lambda: attempts.end(one, "stopped"))
    assert not run(one, attempts, lambda: None)
    assert one.outcome == "stopped"


# --- Context variables ------------------------------------------------------------------------------------------------

TENANT: ContextVar[object] = ContextVar("tenant", default="nobody")


class Incomparable:
    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("not with me")


def test_a_context_variable_that_a_function_sets_is_gone_with_its_attempt():
    def takes_over(name: str) -> str:
        before = TENANT.get()
        TENANT.set(name)
        return before

    assert [executed(takes_over, b'{"name": "a"}').result for _ in range(2)] == [b'"nobody"'] * 2
    assert TENANT.get() == "nobody"


def test_a_context_variable_that_a_coroutine_sets_is_gone_with_its_attempt():
    async def takes_over(name: str) -> str:
        before = TENANT.get()
        TENANT.set(Incomparable() if name == "incomparable" else name)
        await asyncio.sleep(0)
        inner = await asyncio.to_thread(TENANT.get)
        assert name in ("incomparable", inner)
        return str(before)

    async def leaves_it() -> str:
        token = TENANT.set("for a while")
        TENANT.reset(token)
        return str(TENANT.get())

    # Given one slot on a loop, and more runs than that
    running = RunningAttempts()
    names = ["a", "incomparable", "b", "a"]
    attempts = [make_attempt(takes_over, b'{"name": "%s"}' % name.encode()) for name in names]
    attempts += [make_attempt(leaves_it), make_attempt(takes_over, b'{"name": "c"}')]
    waiting, ended = deque(attempts), SimpleQueue()
    loop = EventLoop(1, waiting, running, ended.put, None)
    try:
        assert [ended.get(timeout=60).outcome.result for _ in attempts] == [b'"nobody"'] * 6
    finally:
        loop.end()


def test_a_fault_of_ours_costs_a_coroutine_slot_neither_itself_nor_what_it_ran():
    async def fine() -> str:
        return "fine"

    class Faulty(RunningAttempts):
        def begin(self, attempt, stop):
            if super().begin(attempt, stop) and attempt is attempts[0]:
                raise LookupError("a fault of ours")
            return True

    running, ended = Faulty(), SimpleQueue()
    attempts = [make_attempt(fine), make_attempt(fine)]
    loop = EventLoop(1, deque(attempts), running, ended.put, None)
    try:
        first, second = (ended.get(timeout=60) for _ in attempts)
    finally:
        loop.end()
    assert first.outcome.error.startswith("LookupError: a fault of ours")
    assert second.outcome.result == b'"fine"'
