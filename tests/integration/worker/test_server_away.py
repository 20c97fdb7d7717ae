"""A durable run waits for a server that goes away while its handler asks for steps, and does nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager

import pytest

from jobistemer import NO_RETRIES, Context, Delays, Jobistemer
from jobistemer.core.errors import NotConnected
from jobistemer.core.states import RunState
from jobistemer.store.database import Database
from jobistemer.worker.execute import server_wait
from jobistemer.worker.execute.execute import run_async
from jobistemer.worker.execute.step_recorder import GroupRecorder
from tests.support.step_system import StepWorker, build_ticker, open_app, read_attempts

ASKING = ("ask", "ask_all", "call", "call_all", "read", "read_all")
TIMES_AWAY = 3


class LeavingServer:
    """A server that goes away when it is told to, for the next three questions of whatever kind."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.missed = TIMES_AWAY
        for name in ASKING:
            monkeypatch.setattr(database, name, self._ask_or_miss(getattr(database, name)))

    def go_away(self) -> None:
        self.missed = 0

    def _ask_or_miss(self, ask):
        def asked(*args, **kwargs):
            if self.missed < TIMES_AWAY:
                self.missed += 1
                raise NotConnected("away")
            return ask(*args, **kwargs)

        return asked


@pytest.fixture
def app(server_url: str, clock, database) -> Jobistemer:
    return open_app(server_url, clock)


@pytest.fixture
def server(database, monkeypatch) -> LeavingServer:
    monkeypatch.setattr(server_wait, "PAUSE_S", 0.0)
    return LeavingServer(database, monkeypatch)


@pytest.fixture
def worker(database, app):
    # Made for the test when its tasks are declared; its recorder is that of a real worker.
    return lambda: StepWorker(database, app, recorder=GroupRecorder())


def work(worker: StepWorker) -> None:
    """Run what waits, coroutines on an event loop, and record the ends."""
    worker.fetch()
    run_fetched(worker)


def run_fetched(worker: StepWorker) -> None:
    for attempt in [each for each in worker.waiting if each.handler.is_coroutine]:
        worker.waiting.remove(attempt)
        # As if it had not been read ahead: records of more than 64 KiB are not.
        attempt.records = None
        if asyncio.run(run_async(attempt, worker.attempts, lambda: None)):
            worker.committer.finished.put(attempt)
    for attempt in worker.waiting:
        attempt.records = None
    worker.execute()
    worker.commit()


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine"])
def test_steps_that_are_on_record_are_read_when_the_server_is_there_again(
    app, database, clock, server, worker, is_coroutine
):
    # Given a run whose first attempt fails behind a step
    done: Counter[str] = Counter()

    def charge(ctx: Context) -> None:
        done["called"] += 1
        ctx.step("pay", done.update, ["paid"]) if done["called"] == 1 else server.go_away()
        if done["called"] == 1:
            raise ValueError("behind the step")
        ctx.step("pay", done.update, ["paid"])

    async def charge_async(ctx: Context) -> None:
        done["called"] += 1
        if done["called"] == 1:
            await ctx.step_async("pay", note_async)
            raise ValueError("behind the step")
        server.go_away()
        await ctx.step_async("pay", note_async)

    async def note_async() -> None:
        done["paid"] += 1

    run = app.task(charge_async if is_coroutine else charge, retry=Delays((1,))).enqueue()
    mine = worker()
    work(mine)
    clock.advance(60)
    build_ticker(database).tick()

    # When the server is away as the second attempt asks for its steps
    work(mine)

    # Then it waits, and the run succeeds without a second payment or another attempt
    assert run.state() is RunState.SUCCEEDED
    assert (server.missed, done["paid"], len(read_attempts(database, run.id))) == (TIMES_AWAY, 1, 2)


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine"])
def test_a_signal_that_was_sent_is_taken_when_the_server_is_there_again(app, server, worker, is_coroutine):
    def wait(ctx: Context) -> int:
        server.go_away()
        return ctx.wait_for("go", int)

    async def wait_async(ctx: Context) -> int:
        server.go_away()
        return await ctx.wait_for_async("go", int)

    run = app.task(wait_async if is_coroutine else wait, retry=NO_RETRIES).enqueue()
    app.signal(run, "go", 7)
    work(worker())
    assert (run.result(), server.missed) == (7, TIMES_AWAY)


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine"])
def test_the_transaction_of_a_step_is_applied_once_when_the_server_is_there_again(
    app, database, server, worker, is_coroutine
):
    done: list[str] = []

    def pay(ctx: Context) -> None:
        ctx.transaction.write("INCRBY", "paid", 5)
        done.append("paid")
        server.go_away()

    def charge(ctx: Context) -> None:
        ctx.step("pay", pay, ctx)

    async def charge_async(ctx: Context) -> None:
        async def pay_async() -> None:
            pay(ctx)

        await ctx.step_async("pay", pay_async)

    run = app.task(charge_async if is_coroutine else charge, retry=NO_RETRIES).enqueue()
    work(worker())
    assert run.state() is RunState.SUCCEEDED
    assert (done, server.missed) == (["paid"], TIMES_AWAY)
    assert database.client.get(f"{database.keys.own('paid')}") == b"5"


@pytest.mark.parametrize("kind", ["map", "step_map"])
def test_runs_that_are_mapped_are_added_once_when_the_server_is_there_again(app, database, server, worker, kind):
    done: list[int] = []

    @app.task
    def part(number: int) -> int:
        done.append(number)
        return number

    @app.task(retry=NO_RETRIES)
    def whole(ctx: Context) -> None:
        server.go_away()
        if kind == "map":
            ctx.map(part, [1, 2, 3])
        else:
            ctx.step_map("parts", part, [1, 2, 3])

    run = whole.enqueue()
    mine = worker()
    work(mine)
    assert server.missed == TIMES_AWAY
    while mine.fetch():
        work(mine)
    assert sorted(done) == [1, 2, 3]
    assert {each.state for each in read_attempts(database, run.id)} <= {"succeeded", "suspended"}


def _ask(ctx: Context) -> list[object]:
    return [ctx.last_run_at, ctx.cancel_reason, ctx.tools.is_first_of_occurrence()]


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine"])
def test_what_a_handler_asks_of_its_run_is_answered_when_the_server_is_there_again(app, server, worker, is_coroutine):
    asked: list[list[object]] = []

    def ask(ctx: Context) -> None:
        server.go_away()
        asked.append(_ask(ctx))

    async def ask_async(ctx: Context) -> None:
        # As `docs/how-to/context.md` says: in a thread of its own.
        await asyncio.to_thread(ask, ctx)

    app.job("0 3 * * *", name="nightly")(ask_async if is_coroutine else ask)
    app.deploy()
    app.control.trigger("nightly")
    work(worker())
    assert (asked, server.missed) == ([[None, "", True]], TIMES_AWAY)


@pytest.mark.parametrize("question", ["last_run_at", "cancel_reason"])
def test_on_an_event_loop_a_handler_that_asks_is_told_at_once_that_the_server_is_away(app, server, worker, question):
    told: list[str] = []

    async def ask_on_loop(ctx: Context) -> None:
        server.go_away()
        with pytest.raises(NotConnected) as away:
            getattr(ctx, question)
        server.missed = TIMES_AWAY
        told.append(str(away.value))

    app.job("0 3 * * *", name="nightly")(ask_on_loop)
    app.deploy()
    app.control.trigger("nightly")
    work(worker())
    assert told == ["away"]


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine"])
def test_the_hook_of_an_occurrence_is_called_when_the_server_is_there_again(app, server, worker, is_coroutine):
    told: list[str] = []

    async def work_async() -> None:
        told.append("worked")

    def work_here() -> None:
        told.append("worked")

    @app.middleware
    @contextmanager
    def lose_server(ctx: Context):
        server.go_away()
        yield

    app.job("0 3 * * *", name="nightly", on_start=lambda ctx: told.append("started"))(
        work_async if is_coroutine else work_here
    )
    app.deploy()
    app.control.trigger("nightly")
    work(worker())
    assert (told, server.missed) == (["started", "worked"], TIMES_AWAY)


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["function", "coroutine"])
def test_the_instants_of_a_compressed_run_are_shown_when_the_server_is_there_again(
    app, database, clock, server, worker, is_coroutine
):
    seen: list[int] = []

    def count(ctx: Context) -> None:
        seen.append(len(ctx.stands_for))

    async def count_async(ctx: Context) -> None:
        seen.append(len(ctx.stands_for))

    app.job("* * * * *", name="minutely", recovery="compressed")(count_async if is_coroutine else count)
    app.deploy()
    clock.advance(600)
    for _ in range(3):
        build_ticker(database).tick()
    mine = worker()
    mine.fetch()
    server.go_away()
    run_fetched(mine)
    assert (seen, server.missed) == ([8], TIMES_AWAY)  # the last two are within the grace period
