"""Dependencies at work: made before the handler and closed with its attempt, whatever that does; overridden in tests."""

import asyncio
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any

import pytest

from jobistemer import NO_RETRIES, Context, Depends, Fail, Jobistemer, Results, Retry
from jobistemer.core.states import AttemptState
from jobistemer.testing import HandlerFailed, under_test

colours = pytest.mark.parametrize("colour", ["thread", "coroutine"])


@pytest.fixture
def app():
    app = Jobistemer("redis://127.0.0.1:1/0")
    app.seen = []
    return app


@pytest.fixture
def jobs(app):
    with under_test(app) as opened:
        yield opened


def generator(app, name, **behaviour):
    """A provider that notes its end, and may misbehave there."""

    def provide():
        app.seen.append(f"{name} opens")
        try:
            yield name
        except BaseException as error:
            app.seen.append(f"{name} saw {type(error).__name__}")
            if behaviour.get("swallow"):
                return
            raise
        finally:
            app.seen.append(f"{name} closes")
        if behaviour.get("fails"):
            raise ValueError(f"{name} cannot commit")

    async def provide_later():
        app.seen.append(f"{name} opens")
        try:
            await asyncio.sleep(0)
            yield name
        except BaseException as error:
            app.seen.append(f"{name} saw {type(error).__name__}")
            if behaviour.get("swallow"):
                return
            raise
        finally:
            app.seen.append(f"{name} closes")
        if behaviour.get("fails"):
            raise ValueError(f"{name} cannot commit")

    return provide_later if behaviour.get("later") else provide


def declare(app, colour, body, *providers, **options):
    if colour == "thread":

        @app.task(name="work", **{"retry": NO_RETRIES, **options})
        def work(one: Any = Depends(providers[0]), two: Any = Depends(providers[-1])) -> Any:
            app.seen.append(f"works with {one} and {two}")
            return body()
    else:

        @app.task(name="work", **{"retry": NO_RETRIES, **options})
        async def work(one: Any = Depends(providers[0]), two: Any = Depends(providers[-1])) -> Any:
            app.seen.append(f"works with {one} and {two}")
            return body()

    return work


def raises(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(("colour", "later"), [("thread", False), ("coroutine", False), ("coroutine", True)])
def test_generators_are_opened_in_order_and_closed_in_reverse_order_before_the_outcome(app, jobs, colour, later):
    work = declare(app, colour, lambda: "done", generator(app, "db", later=later), generator(app, "mail", later=later))
    assert jobs.perform(work) == "done"
    assert app.seen == ["db opens", "mail opens", "works with db and mail", "mail closes", "db closes"]


@pytest.mark.parametrize(("colour", "later"), [("thread", False), ("coroutine", False), ("coroutine", True)])
@pytest.mark.parametrize("swallow", [False, True])
def test_generators_see_the_exception_of_the_handler_and_none_can_swallow_it(app, jobs, colour, later, swallow):
    providers = [generator(app, name, later=later, swallow=swallow) for name in ("db", "mail")]
    work = declare(app, colour, raises(KeyError("x")), *providers)
    with pytest.raises(KeyError):
        jobs.perform(work)
    assert app.seen[3:] == ["mail saw KeyError", "mail closes", "db saw KeyError", "db closes"]


@colours
@pytest.mark.parametrize(
    ("error", "state"), [(Fail("no"), "failed"), (Retry(after=60), "retrying"), (SystemExit(3), "dead")]
)
def test_what_a_handler_raises_decides_its_outcome_through_all_generators(app, jobs, colour, error, state):
    work = declare(app, colour, raises(error), generator(app, "db"), retry=3 if state == "retrying" else 0)
    run = work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    assert run.state() == {"retrying": "scheduled", "failed": "failed", "dead": "dead"}[state], run.record()
    assert app.seen[-1] == "db closes"


@pytest.mark.parametrize(("colour", "later"), [("thread", False), ("coroutine", True)])
def test_an_error_at_the_end_of_a_generator_is_an_error_of_the_attempt(app, jobs, colour, later):
    work = declare(app, colour, lambda: "done", generator(app, "db", later=later, fails=True))
    with pytest.raises(ValueError, match="db cannot commit"):
        jobs.perform(work)


@colours
def test_an_error_of_a_provider_closes_those_before_it_and_fails_the_attempt(app, jobs, colour):
    def broken():
        raise ConnectionError("no database")

    work = declare(app, colour, lambda: "done", generator(app, "db"), broken)
    with pytest.raises(ConnectionError):
        jobs.perform(work)
    assert app.seen == ["db opens", "db saw ConnectionError", "db closes"]


@pytest.mark.parametrize(("colour", "later"), [("thread", False), ("coroutine", False), ("coroutine", True)])
def test_an_attempt_that_is_stopped_closes_its_generators(app, jobs, colour, later):
    gate = asyncio.Event()

    def hang():
        while True:
            pass

    if colour == "thread":
        work = declare(app, colour, hang, generator(app, "db"), timeout=0.1)
    else:

        @app.task(retry=NO_RETRIES, timeout=0.1)
        async def work(one: Any = Depends(generator(app, "db", later=later))) -> None:
            await gate.wait()

    run = work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    assert run.record().error.startswith("timed out")
    assert app.seen[-2:] == [f"db saw {'Stopped' if colour == 'thread' else 'CancelledError'}", "db closes"]


@colours
def test_providers_depend_on_providers_and_share_values_within_an_attempt(app, jobs, colour):
    made = []

    def connect(ctx: Context):
        made.append(ctx.handler)
        return f"connection {len(made)} of {ctx.run[:4]}"

    class Users:
        def __init__(self, connection: Annotated[str, Depends(connect)], size: int = 3):
            self.text = f"users on {connection}"

    def lone(connection: str = Depends(connect, use_cache=False)):
        return connection

    def body(
        one: Annotated[Users, Depends()],
        two: Annotated[Users, Depends(Users)],
        three: Annotated[str, Depends(connect)],
        four: Annotated[str, Depends(lone)],
    ) -> list[str]:
        assert one is two
        return [one.text, three, four]

    async def body_later(
        one: Annotated[Users, Depends()],
        two: Annotated[Users, Depends(Users)],
        three: Annotated[str, Depends(connect)],
        four: Annotated[str, Depends(lone)],
    ) -> list[str]:
        return body(one, two, three, four)

    task = app.task(name="body")(body if colour == "thread" else body_later)
    assert jobs.perform(task) == ["users on connection 1 of run_", "connection 1 of run_", "connection 2 of run_"]
    assert jobs.perform(task)[0] == "users on connection 3 of run_"


@colours
def test_middleware_is_around_providers_and_a_context_is_handed_to_both(app, jobs, colour):
    @app.middleware
    @contextmanager
    def watched(ctx):
        app.seen.append("middleware begins")
        try:
            yield
        finally:
            app.seen.append("middleware ends")

    work = declare(app, colour, lambda: 1, generator(app, "db"))
    assert jobs.perform(work) == 1
    assert (app.seen[0], app.seen[1], app.seen[-1]) == ("middleware begins", "db opens", "middleware ends")


def test_a_test_puts_another_provider_in_its_place_until_it_ends(app):
    def get_db():
        raise AssertionError("the real database")

    async def get_later():
        return "later"

    work = declare(app, "thread", lambda: "done", get_db)
    with under_test(app) as jobs:
        jobs.override(get_db, lambda ctx=Depends(lambda: "a fake"): ctx)
        assert jobs.perform(work) == "done"
        assert app.seen == ["works with a fake and a fake"]
        jobs.override(get_db, get_later)
        with pytest.raises(Exception, match="is asynchronous, and the task is a plain function"):
            jobs.perform(work)
    with under_test(app) as jobs, pytest.raises(AssertionError, match="the real database"):
        jobs.perform(work)


def test_items_of_map_reducers_and_tasks_of_a_job_have_dependencies_too(app, jobs):
    app.provide("factor", lambda: 10)
    nightly = app.job("0 2 * * *", name="nightly")

    @nightly.task
    def extract(ctx: Context, factor: int) -> None:
        ctx.map("times", [1, 2], reduce="total")

    @app.task
    def times(number: int, factor: int) -> int:
        return number * factor

    @app.task
    def total(results: Results[int], factor: int) -> int:
        return sum(results) + factor

    @nightly.task(after=[extract])
    def load(extract: int, factor: int) -> None:
        app.seen.append((extract, factor))

    app.deploy()
    jobs.advance(timedelta(days=1))
    assert app.seen == [(40, 10)]


def test_handlers_without_dependencies_are_left_as_they_are(app):
    from jobistemer.worker.execute.middleware import apply_middleware

    @app.task
    def plain() -> None: ...

    declare(app, "thread", lambda: None, lambda: 1)
    wrapped = apply_middleware(app.handlers, app.plugins)
    assert wrapped["plain"] is app.handlers["plain"]
    assert wrapped["work"] is not app.handlers["work"]


def test_a_test_may_have_what_a_worker_makes_at_its_start(app, jobs):
    @app.on_worker_start
    async def connect() -> None:
        app.state.loop = asyncio.get_running_loop()

    @app.on_worker_stop
    def leave() -> None:
        app.seen.append("left")

    @app.task
    async def same_loop() -> bool:
        return asyncio.get_running_loop() is app.state.loop

    with pytest.raises(HandlerFailed, match="app.state has no 'loop'"):
        same_loop.enqueue()
        jobs.run_until_idle()
    with jobs.worker_resources():
        assert jobs.perform(same_loop)
    assert app.seen == ["left"]

    async def story() -> bool:
        async with jobs.worker_resources():
            return await jobs.perform_async(same_loop)

    assert asyncio.run(story())


@colours
def test_a_handler_that_sleeps_closes_its_generators_and_opens_them_again_when_it_goes_on(app, jobs, colour):
    if colour == "thread":

        @app.task
        def work(ctx: Context, db: Any = Depends(generator(app, "db"))) -> str:
            ctx.sleep(3600)
            return db
    else:

        @app.task
        async def work(ctx: Context, db: Any = Depends(generator(app, "db", later=True))) -> str:
            await ctx.sleep_async(3600)
            return db

    run = work.enqueue()
    jobs.run_until_idle()
    assert app.seen[-1] == "db closes"
    assert jobs.advance(hours=2) > 0
    assert run.result(timeout=60) == "db"
    assert [each for each in app.seen if "saw" not in each] == ["db opens", "db closes"] * 2


def test_an_attempt_whose_dependency_fails_counts_as_an_attempt_and_is_tried_again(app, jobs):
    tries = []

    def flaky():
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("no database yet")
        return "db"

    work = declare(app, "thread", lambda: "done", flaky, retry=1)
    run = work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    jobs.advance(minutes=5)
    assert run.result(timeout=60) == "done"
    assert run.record().attempt == 1
    assert AttemptState.SUCCEEDED
