"""Middleware around attempts, and hooks that are told: with a real worker, in threads and on the event loop."""

import asyncio
import logging
from contextlib import contextmanager

import pytest

from jobistemer import Context, Delays, Fail
from jobistemer.contrib.middleware import capture_exceptions, log_attempts, timeout
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.handlers.hooks import Plugins
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.sizes import Sizes
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.calls import occurrences
from jobistemer.worker.execute.middleware import apply_middleware
from tests.support.apps import drain_queues, empty_app, shard_of
from tests.support.lifecycle import decision

colours = pytest.mark.parametrize("colour", ["thread", "coroutine"])


@pytest.fixture
def app(server_url):
    return empty_app(server_url)


def declare(app, colour, body, **options):
    """A task of either colour that does `body`."""
    if colour == "thread":

        @app.task(name="work", **options)
        def work(number: int = 0) -> int:
            return body(number)
    else:

        @app.task(name="work", **options)
        async def work(number: int = 0) -> int:
            return body(number)

    return work


def recorder(told, name):
    @contextmanager
    def recording(ctx):
        told.append(f"{name} in {ctx.handler} {ctx.attempt}")
        try:
            yield
        except Exception as error:
            told.append(f"{name} saw {error}")
            raise
        finally:
            told.append(f"{name} out")

    return recording


@colours
def test_middleware_is_nested_in_the_order_in_which_it_was_added(app, colour):
    told = []
    app.middleware(recorder(told, "outer"))
    app.middleware(recorder(told, "inner"))
    run = declare(app, colour, lambda number: told.append("handler") or number + 1).enqueue(1)
    drain_queues(app)
    assert run.result(0) == 2
    assert told == ["outer in work 0", "inner in work 0", "handler", "inner out", "outer out"]


@colours
def test_middleware_sees_the_exception_of_the_handler(app, colour):
    told = []
    app.middleware(recorder(told, "it"))

    def fails(number):
        raise Fail("no")

    run = declare(app, colour, fails).enqueue()
    drain_queues(app)
    assert told == ["it in work 0", "it saw no", "it out"]
    assert run.state() is RunState.FAILED


@colours
def test_what_middleware_raises_is_the_attempts_failure(app, colour):
    called = []

    @app.middleware
    @contextmanager
    def refusing(ctx):
        raise Fail("not on a Sunday")
        yield

    run = declare(app, colour, called.append).enqueue()
    drain_queues(app)
    assert called == []
    assert (run.record().state, run.record().error) == (RunState.FAILED, "not on a Sunday")


def test_handlers_with_a_context_of_their_own_get_the_same_one(app):
    seen = []

    @app.middleware
    @contextmanager
    def looking(ctx):
        seen.append(ctx)
        yield

    @app.task
    def work(ctx: Context) -> None:
        seen.append(ctx)

    work.enqueue()
    drain_queues(app)
    assert seen[0] is seen[1]


def test_without_middleware_the_handlers_are_the_very_same(app):
    declare(app, "thread", lambda number: number)
    assert apply_middleware(app.handlers, app.plugins) is app.handlers
    app.hooks.after_run(print)
    assert apply_middleware(app.handlers, app.plugins) is app.handlers


def test_what_was_added_after_the_start_is_not_in_the_chain(app):
    declare(app, "thread", lambda number: number)
    app.middleware(recorder([], "first"))
    handlers = apply_middleware(app.handlers, app.plugins)
    assert handlers["work"].function is not app.handlers["work"].function
    assert handlers["work"].decode is not None
    assert app.handlers["work"].context_parameter is None


@pytest.mark.parametrize("wrong", ["no function", 7])
def test_what_cannot_be_middleware_or_a_hook_is_refused_by_name(app, wrong):
    for add in (app.middleware, app.hooks.before_run, app.hooks.on_dead):
        with pytest.raises(InvalidDefinition, match="cannot be middleware or a hook: give a plain function of one"):
            add(wrong)


def test_a_coroutine_function_is_no_hook(app):
    async def later(value): ...

    with pytest.raises(InvalidDefinition, match=r"later.* cannot be middleware or a hook: give a plain function"):
        app.hooks.after_run(later)


# --- Hooks -----------------------------------------------------------------------------------------------------------


@colours
def test_hooks_are_told_in_order_what_happens_to_a_run(app, colour):
    told = []
    app.hooks.on_enqueue(lambda message: told.append(("enqueued", message.handler)))
    app.hooks.before_run(lambda ctx: told.append(("before", ctx.attempt)))
    app.hooks.after_run(lambda end: told.append(("after", end.attempt, end.state, end.run_state)))
    app.hooks.on_retry(lambda end: told.append(("retry", end.attempt, end.retry_after_s)))
    app.hooks.on_dead(lambda end: told.append(("dead", end.attempt, end.error.partition("\n")[0])))

    def fails(number):
        raise ValueError("broken")

    declare(app, colour, fails, retry=Delays((0.0,))).enqueue()
    drain_queues(app)
    # What happens in slots and what is told of ends have an order each.
    assert [each for each in told if each[0] in ("enqueued", "before")] == [
        ("enqueued", "work"),
        ("before", 0),
        ("before", 1),
    ]
    assert [each for each in told if each[0] not in ("enqueued", "before")] == [
        ("after", 0, AttemptState.FAILED, RunState.PENDING),
        ("retry", 0, 0.0),
        ("after", 1, AttemptState.FAILED, RunState.DEAD),
        ("dead", 1, "ValueError: broken"),
    ]


def test_successes_that_are_committed_together_are_each_told(app):
    told = []
    app.hooks.after_run(lambda end: told.append(end.run))
    work = declare(app, "thread", lambda number: number)
    handles = app.enqueue_many(work.request(n) for n in range(250))
    drain_queues(app)
    assert sorted(told) == sorted(handle.id for handle in handles)


@colours
def test_a_hook_that_raises_changes_nothing_and_the_next_one_is_told(app, colour, caplog):
    told = []

    def breaks(value):
        raise RuntimeError("hook")

    for add in (app.hooks.on_enqueue, app.hooks.before_run, app.hooks.after_run):
        add(breaks)
        add(told.append)
    run = declare(app, colour, lambda number: number).enqueue(7)
    drain_queues(app)
    assert run.result(0) == 7
    assert len(told) == 3
    assert sum("breaks failed; everything else goes on" in record.message for record in caplog.records) == 3


def test_a_call_that_is_awaited_is_told_too(app):
    told = []
    app.hooks.on_enqueue(lambda message: told.append(message.run))
    run = asyncio.run(app.enqueue_async("work"))
    assert told == [run.id]


def test_enqueue_many_tells_each_new_run_and_no_duplicate(app):
    told = []
    app.hooks.on_enqueue(told.append)
    list(app.enqueue_many([app.request("a"), app.request("b", unique="x"), app.request("b", unique="x")]))
    assert [message.handler for message in told] == ["a", "b"]


def test_the_first_attempt_of_each_occurrence_is_told_to_the_jobs_hook(app):
    told = []
    nightly = app.job("* * * * *", name="nightly", mode="parallel")
    nightly.on_start(lambda ctx: told.append(ctx.occurrence))

    @nightly.task
    def one() -> None: ...

    @nightly.task
    def two() -> None: ...

    @app.job("* * * * *", name="other", on_start=lambda ctx: told.append("other"))
    def other() -> None: ...

    app.deploy()
    app.control.trigger("other")
    stored = app.control.find("nightly")
    for n in (1, 2):
        at = stored.cursor + n
        decided = decision(at, expected=at - 1)
        call = occurrences.claim(shard_of(app).keys, stored.job, 1, decided, at * 1000)
        assert shard_of(app).call(call).word == "CLAIMED"
        drain_queues(app)
    assert len(told) == 3
    assert len(set(told)) == 3
    assert "other" in told


def test_a_hook_for_the_start_that_raises_changes_nothing(app):
    def breaks(ctx):
        raise RuntimeError

    @app.job("* * * * *", name="nightly", on_start=breaks)
    def nightly() -> int:
        return 1

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    drain_queues(app)
    assert shard_of(app).ask("HGET", shard_of(app).keys.occurrence(occurrence), "state") == b"completed"


# --- Built-in middleware ----------------------------------------------------------------------------------------------


@colours
def test_attempts_are_logged_with_their_facts(app, colour, caplog):
    app.middleware(log_attempts)

    def odd(number):
        if number:
            raise ValueError("odd")
        return 0

    work = declare(app, colour, odd, retry=NO_RETRIES)
    work.enqueue(0)
    work.enqueue(1)
    with caplog.at_level(logging.INFO, "jobistemer.attempts"):
        drain_queues(app, concurrency=1)
    said = [record for record in caplog.records if record.name == "jobistemer.attempts"]
    assert [record.message for record in said] == ["attempt begins", "attempt ends", "attempt begins", "attempt fails"]
    assert said[3].facts["error"] == "ValueError"
    assert said[3].facts.keys() == {"run", "task", "attempt", "took_ms", "error"}


@colours
def test_exceptions_are_handed_to_an_error_tracker_and_raised_on(app, colour):
    captured = []
    app.middleware(capture_exceptions(captured.append))

    def fails(number):
        raise Fail("no")

    run = declare(app, colour, fails).enqueue()
    drain_queues(app)
    assert [str(each) for each in captured] == ["no"]
    assert run.state() is RunState.FAILED


def test_a_timeout_for_all_tasks_is_kept_by_the_watch(app):
    app.middleware(timeout(0.1))

    @app.task(retry=NO_RETRIES, timeout_s=60)
    def endless() -> None:
        while True:
            pass

    run = endless.enqueue()
    drain_queues(app)
    assert run.record().error == "timed out after 0.1 s"


def test_a_timeout_that_cannot_be_is_refused():
    with pytest.raises(InvalidDefinition, match=r"timeout: seconds is 0, allowed is 0.001–"):
        timeout(0)


def test_plugins_of_an_app_without_any_are_empty():
    assert not Plugins().chain.links


def test_a_payload_that_does_not_fit_the_worker_goes_to_the_dead_letters_without_a_retry(app):
    @app.task
    def work(number: int) -> None: ...

    # A producer that does not know the task's code cannot check.
    from jobistemer import Jobistemer

    run = Jobistemer(app.namespace.url, namespace="test").enqueue("work", {"number": "seven"})
    drain_queues(app)
    record = run.record()
    assert (record.state, record.attempt) == (RunState.DEAD, 0)
    assert "Expected `int`, got `str` - at `$.number`" in record.error


def test_a_result_above_the_apps_limit_is_a_failure_that_says_so(server_url):
    app = empty_app(server_url, sizes=Sizes(result_bytes=10))

    @app.task
    def work() -> str:
        return "x" * 9

    run = work.enqueue()
    drain_queues(app)
    assert run.record().error == "the work was done, but the result has 11 bytes, allowed are 10"
