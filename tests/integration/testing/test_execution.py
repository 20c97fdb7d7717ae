"""Runs in the test of an application run as in a worker: limits, keys, timeouts, graphs, transactions, hooks."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest

from jobistemer import NO_RETRIES, Concurrency, Context, Fail, Jobistemer, Rate, Results, Unique
from jobistemer.control.backfills import Backfills
from jobistemer.core.errors import InvalidPayload, JobistemerError, ResultTimeout, UnknownTask
from jobistemer.core.jobs.alert import Alert
from jobistemer.testing import HandlerFailed, system, under_test


class Address(msgspec.Struct):
    street: str


def test_what_a_handler_enqueues_is_run_as_well_one_after_the_other_by_priority(app, jobs):
    ran = []

    @app.task
    def first() -> None:
        ran.append("first")
        second.options(priority=1).enqueue("less")
        second.options(priority=9).enqueue("more")
        second.options(queue="another").enqueue("another")

    @app.task
    def second(what: str) -> None:
        ran.append(what)

    first.enqueue()
    assert jobs.run_until_idle() == 4
    assert ran == ["first", "another", "more", "less"]
    assert jobs.run_until_idle() == 0


def test_handlers_run_in_the_thread_of_the_test(app, jobs):
    @app.task
    def where() -> int:
        return threading.get_ident()

    @app.task(executor="process")
    def apart() -> int:
        return threading.get_ident()

    runs = [where.enqueue(), apart.enqueue()]
    jobs.run_until_idle()
    assert [run.result(timeout=0) for run in runs] == [threading.get_ident()] * 2


def test_coroutines_of_a_plain_test_share_one_loop(app, jobs):
    loops = []

    @app.task
    async def on_loop(number: int) -> int:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        return number + 1

    runs = [on_loop.enqueue(1)]
    jobs.run_until_idle()
    runs.append(on_loop.enqueue(2))
    jobs.run_until_idle()
    assert [run.result(timeout=0) for run in runs] == [2, 3]
    assert loops[0] is loops[1]


def test_an_asynchronous_test_runs_coroutines_on_its_own_loop_and_plain_functions_beside_it(app, jobs):
    seen = {}

    @app.task
    async def coroutine(ctx: Context) -> None:
        seen["coroutine"] = asyncio.get_running_loop()
        await plain.enqueue_async()

    @app.task
    def plain() -> None:
        # Which would be refused on the thread of a loop.
        seen["plain"] = asyncio.run(asyncio.sleep(0, "fine"))

    async def story():
        await coroutine.enqueue_async()
        assert await jobs.run_until_idle_async() == 2
        await coroutine.options(delay=60).enqueue_async()
        assert await jobs.advance_async(minutes=2) == 2
        assert await jobs.perform_async(coroutine) is None
        return asyncio.get_running_loop()

    assert asyncio.run(story()) is seen["coroutine"]
    assert seen["plain"] == "fine"


def test_a_step_that_would_have_to_run_coroutines_says_what_to_await_on_a_running_loop(app, jobs):
    @app.task
    async def coroutine() -> None: ...

    async def story():
        await coroutine.enqueue_async()
        jobs.run_until_idle()

    with pytest.raises(JobistemerError, match="await the _async twin"):
        asyncio.run(story())


def test_an_attempt_that_takes_too_long_is_stopped_and_recorded_as_timed_out(app, jobs):
    went_on = []

    @app.task(timeout_s=0.1, retry=NO_RETRIES)
    def spins() -> None:
        while True:
            time.monotonic()

    @app.task(timeout_s=0.1, retry=NO_RETRIES)
    async def sleeps() -> None:
        await asyncio.Event().wait()

    @app.task
    def after() -> None:
        went_on.append("after")

    runs = [spins.enqueue(), sleeps.enqueue()]
    after.enqueue()
    jobs.run_until_idle(raise_on_failure=False)

    assert [run.record().error for run in runs] == ["timed out after 0.1 s"] * 2
    assert went_on == ["after"]


def test_a_key_is_free_again_when_its_run_has_ended(app, jobs):
    @app.task
    def sync(user: int) -> None: ...

    first, second = (sync.options(unique=Unique("user 7")).enqueue(7) for _ in range(2))
    assert (first.id, second.existing) == (second.id, True)
    assert len(jobs.enqueued(sync)) == 1
    jobs.run_until_idle()
    assert not sync.options(unique=Unique("user 7")).enqueue(7).existing


def test_a_debounced_call_is_shown_and_run_with_what_the_last_one_has_said(app, jobs):
    told = []

    @app.task
    def index(page: str) -> None:
        told.append(page)

    for page in ("old", "new"):
        index.options(debounce=30).enqueue(page)
    assert [call.arguments for call in jobs.enqueued(index)] == [{"page": "new"}]
    jobs.advance(minutes=1)
    assert told == ["new"]
    jobs.assert_enqueued(index, page="new")


def test_work_over_a_limit_waits_and_then_runs(app, jobs):
    ran_at = []
    began = jobs.now

    @app.task(limits=[Rate(2, 60)])
    def called() -> None:
        ran_at.append((jobs.now - began) // timedelta(minutes=1))

    @app.task(limits=[Concurrency(1, key="{customer}")])
    def served(customer: str) -> None: ...

    for _ in range(5):
        called.enqueue()
        served.enqueue("ann")
    assert jobs.run_until_idle() == 2 + 5
    jobs.advance(minutes=10)
    assert len(ran_at) == 5
    assert max(ran_at) >= 1


def test_tasks_of_a_job_run_in_the_order_of_their_graph_with_the_results_before_them(app, jobs):
    nightly = app.job("0 2 * * *", name="nightly")
    loaded = []

    @nightly.task
    def extract() -> int:
        return 20

    @nightly.task(after=[extract])
    def load(extract: int) -> None:
        loaded.append(extract)

    @nightly.on_complete
    def tell() -> None:
        loaded.append("complete")

    jobs.at("2027-01-15T08:00:00Z")
    jobs.advance(days=1)
    assert loaded == [20, "complete"]
    occurrence = jobs.assert_occurred(nightly, at="2027-01-16T02:00:00Z")
    assert [task.state for task in app.report(occurrence.id).tasks] == ["succeeded", "succeeded"]


def test_what_a_task_of_a_job_raises_skips_what_comes_after_it(app, jobs):
    nightly = app.job("0 2 * * *", name="nightly", retry=NO_RETRIES)
    extract = nightly.task(lambda: 1 / 0, name="extract")
    nightly.task(lambda: None, name="load", after=[extract])

    with pytest.raises(HandlerFailed, match=r"nightly.extract\(\) failed: ZeroDivisionError") as caught:
        jobs.advance(days=1)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    occurrence = jobs.assert_occurred(nightly, outcome="failed")
    assert [task.state for task in app.report(occurrence.id).tasks] == ["dead", "skipped"]
    jobs.refute_occurred(nightly)


def test_runs_that_are_mapped_and_reduced(app, jobs):
    @app.task
    def split(ctx: Context) -> None:
        ctx.map(double, [1, 2, 3], reduce=total)

    @app.task
    def double(number: int) -> int:
        return 2 * number

    @app.task
    def total(results: Results[int]) -> int:
        return sum(results)

    split.enqueue()
    assert jobs.run_until_idle() == 5


def test_follow_ups_of_a_transaction_are_enqueued_only_when_it_is_applied(app, jobs):
    @app.task(retry=NO_RETRIES)
    def pay(ctx: Context, works: bool) -> None:
        ctx.transaction.enqueue(receipt.request(7))
        if not works:
            raise Fail("no money")

    @app.task
    def receipt(order: int) -> None: ...

    pay.enqueue(works=False)
    jobs.run_until_idle(raise_on_failure=False)
    jobs.refute_enqueued(receipt)
    pay.enqueue(works=True)
    jobs.run_until_idle()
    assert jobs.assert_enqueued(receipt, order=7).state == "succeeded"


def test_middleware_and_hooks_are_called_as_in_a_worker(app, jobs):
    told = []

    @app.middleware
    @contextmanager
    def around(context):
        told.append("in")
        yield
        told.append("out")

    app.hooks.after_run(lambda ended: told.append(str(ended.state)))
    app.hooks.on_dead(lambda ended: told.append("dead"))
    app.task(lambda: told.append("handler"), name="fine")
    app.task(lambda: 1 / 0, name="broken", retry=NO_RETRIES)

    app.enqueue("fine")
    app.enqueue("broken")
    jobs.run_until_idle(raise_on_failure=False)
    assert told == ["in", "handler", "out", "succeeded", "in", "failed", "dead"]


def test_queues_that_are_paused_and_tasks_on_hold_wait(app, jobs):
    app.task(lambda: None, name="paused", queue="mail")
    app.task(lambda: None, name="held")
    app.queues.pause("mail")
    app.holds.put("held", seconds=600)
    runs = [app.enqueue("paused", queue="mail"), app.enqueue("held")]

    assert jobs.run_until_idle() == 0
    assert jobs.advance(minutes=11) == 1
    app.queues.resume("mail")
    assert jobs.run_until_idle() == 1
    assert [run.state() for run in runs] == ["succeeded"] * 2


def test_a_run_that_an_earlier_one_cancels_is_not_begun(app, jobs):
    ran = []

    @app.task
    def cancels(run: str) -> None:
        app.run(run).cancel()

    @app.task
    def waits() -> None:
        ran.append("waits")

    # The first in the queue is told of the second when both have been fetched.
    delayed = waits.options(delay=1).enqueue()
    cancels.options(delay=1, priority=9).enqueue(delayed.id)
    jobs.advance(minutes=1)
    assert (ran, delayed.state()) == ([], "canceled")


def test_a_job_can_be_triggered_and_controlled(app, jobs):
    app.job("0 2 * * *", name="nightly")(lambda: None)
    jobs.at("2027-01-15T08:00:00Z")
    app.deploy()
    app.control.trigger("nightly")
    assert jobs.run_until_idle() == 1
    app.control.pause("nightly", "not today")
    jobs.advance(days=1)
    assert [each.state for each in jobs.occurrences("nightly")] == ["completed", "skipped"]
    jobs.assert_occurred("nightly", outcome="skipped")


def test_a_namespace_of_several_shards_is_run_whole():
    app = Jobistemer("redis://127.0.0.1:1/0", shards=4)
    done = []

    @app.task
    def note(number: int) -> None:
        done.append(number)

    for name in ("a", "b", "c", "d"):
        app.job("* * * * *", name=name)(lambda: done.append("job"))
    with under_test(app) as jobs:
        for number in range(20):
            app.enqueue("note", {"number": number})
        jobs.advance(minutes=3)
        assert [len(jobs.occurrences(name)) for name in ("a", "b", "c", "d")] == [3] * 4
    assert sorted(each for each in done if each != "job") == list(range(20))
    assert done.count("job") == 12


def test_performing_runs_one_call_and_leaves_everything_else_where_it_is(app, jobs):
    @app.task
    def greet(ctx: Context, name: str) -> str:
        other.enqueue()
        return f"{name} in attempt {ctx.attempt} of {ctx.run[:4]}"

    @app.task
    async def other() -> list[int]:
        return [1]

    waiting = other.enqueue()
    assert jobs.perform(greet, "ann") == "ann in attempt 0 of run_"
    assert jobs.perform("greet", name="bob") == "bob in attempt 0 of run_"
    assert jobs.perform(other) == [1]
    assert waiting.state() == "pending"
    assert [call.task for call in jobs.enqueued()] == ["other"] * 3


def test_performing_raises_what_the_handler_raises_and_tries_nothing_again(app, jobs):
    error = LookupError("no such user")

    @app.task
    def broken() -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        jobs.perform(broken)
    assert caught.value is error
    assert jobs.advance(days=1) == 0
    assert jobs.dead() == []


def test_performing_refuses_arguments_that_do_not_fit(app, jobs):
    @app.task
    def greet(name: str) -> None: ...

    with pytest.raises(InvalidPayload, match="name"):
        jobs.perform(greet, name=7)
    with pytest.raises(InvalidPayload, match="cannot be called so"):
        jobs.perform(greet, nam="ann")


def test_performing_what_a_limit_holds_back_says_so(app, jobs):
    @app.task(limits=[Rate(1, 60)])
    def rare() -> None: ...

    jobs.at("2027-01-15T08:00:00Z")
    jobs.perform(rare)
    with pytest.raises(
        JobistemerError,
        match="'rare' was not run: it waits for its turn under a rate limit, until 2027-01-15T08:01:00Z",
    ):
        jobs.perform(rare)
    assert jobs.advance(hours=1) == 0


def test_a_failed_attempt_is_raised_with_the_error_of_its_handler_and_what_becomes_of_it(app, jobs):
    jobs.at("2027-01-15T08:00:00Z")

    @app.task(retry=NO_RETRIES)
    def send(to: str) -> None:
        raise ConnectionError("mail server is away")

    for name in ("ann", "bob"):
        send.enqueue(name)
    with pytest.raises(HandlerFailed) as caught:
        jobs.run_until_idle()
    lines = str(caught.value).splitlines()
    assert lines[0] == "send(to='ann') failed: ConnectionError: mail server is away"
    assert lines[1].endswith("at 2027-01-15T08:00:00Z; the run is dead")
    assert lines[2] == "also: send(to='bob') failed: ConnectionError: mail server is away"
    assert repr(caught.value.__cause__) == "ConnectionError('mail server is away')"
    # Both were recorded before that, and nobody is told again.
    assert [letter.run.error.partition("\n")[0] for letter in jobs.dead(send)] == [
        "ConnectionError: mail server is away"
    ] * 2
    assert jobs.run_until_idle() == 0


def test_a_payload_that_does_not_fit_is_a_failure_too(app, jobs):
    @app.task
    def deliver(to: Address) -> None: ...

    other = Jobistemer("redis://127.0.0.1:1/0")
    jobs.include(other)
    other.enqueue("deliver", {"to": {"street": 7}})
    with pytest.raises(HandlerFailed, match=r"deliver\(to={'street': 7}\) failed: .*street"):
        jobs.run_until_idle()
    assert jobs.assert_enqueued(deliver).state == "dead"


def test_what_is_meant_for_the_runner_of_the_tests_ends_the_test_at_once(app, jobs):
    app.task(lambda: pytest.fail("seen by pytest"), name="fails")
    app.enqueue("fails")
    with pytest.raises(pytest.fail.Exception, match="seen by pytest"):
        jobs.run_until_idle()


def test_who_asks_for_a_result_has_the_work_done(app, jobs):
    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    @app.task
    def add_three(numbers: list[int]) -> int:
        # Which would wait for another slot in a worker.
        return numbers[2] + add.enqueue(*numbers[:2]).result(timeout=60)

    assert add.enqueue(1, 2).result() == 3
    assert add_three.enqueue([1, 2, 3]).result(timeout=60) == 6


def test_a_result_that_is_not_due_is_not_waited_for(app, jobs):
    jobs.at("2027-01-15T08:00:00Z")
    later = app.enqueue("anything", delay=60)
    with pytest.raises(ResultTimeout, match="nothing is left to run at 2027-01-15T08:00:00Z"):
        later.result()


def test_an_asynchronous_test_awaits_results_as_well(app, jobs):
    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    @app.task
    async def twice(number: int) -> int:
        return await (await add.enqueue_async(number, number)).result_async()

    async def story():
        return await (await twice.enqueue_async(4)).result_async(timeout=60)

    assert asyncio.run(story()) == 8
    assert twice.enqueue(4).result() == 8


def test_what_the_app_does_not_have_cannot_be_performed(jobs):
    with pytest.raises(UnknownTask, match="this app has no task 'elsewhere'"):
        jobs.perform("elsewhere")


def test_a_range_of_the_past_is_run_in_its_place(app, jobs):
    jobs.at("2027-01-15T08:00:00Z")
    app.job("0 * * * *", name="hourly")(lambda: None)
    jobs.advance(hours=1)
    backfills = Backfills(app.namespace)
    backfills.start(backfills.ask("hourly", *(jobs.now - timedelta(hours=each) for each in (3, 1))))

    jobs.advance(minutes=1)

    found = [(each.at.hour, each.state, each.origin.partition(" ")[0]) for each in jobs.occurrences("hourly")]
    assert found == [
        (6, "completed", "backfill"),
        (7, "completed", "backfill"),
        (8, "completed", "backfill"),
        (9, "completed", ""),
    ]


def test_who_is_to_be_told_of_a_job_that_does_not_complete_is_told_when_it_is_time(app, jobs):
    told = []

    @app.task
    def page(alert: Alert) -> None:
        told.append((alert.state, jobs.now.isoformat()))

    jobs.at("2027-01-15T08:00:00Z")
    app.job("0 * * * *", name="hourly", expect_within_s=5400, alert="page")(lambda: None)
    jobs.advance(hours=1)
    app.control.pause("hourly")
    jobs.advance(hours=3)
    assert told == []
    app.control.resume("hourly")
    app.queues.pause("default")
    jobs.advance(hours=2)
    app.queues.resume("default")
    jobs.run_until_idle()

    assert told == [("overdue", "2027-01-15T14:00:00+00:00"), ("recovered", "2027-01-15T14:00:00+00:00")]


def test_calls_that_are_enqueued_together_or_awaited_are_known_as_well(app, jobs):
    @app.task
    def note(number: int) -> None: ...

    app.enqueue_many(note.request(number) for number in range(3))
    asyncio.run(note.enqueue_async(3))
    assert [call.arguments["number"] for call in jobs.enqueued(note)] == [0, 1, 2, 3]
    assert jobs.run_until_idle() == 4


def test_a_task_that_enqueues_itself_at_once_is_found_out(app, jobs, monkeypatch):
    @app.task
    def again() -> None:
        again.enqueue()

    monkeypatch.setattr(system, "MAX_RUNS", 10)
    again.enqueue()
    with pytest.raises(JobistemerError, match="more than 10 runs at one instant, the last of task 'again'"):
        jobs.run_until_idle()


def test_tasks_of_other_apps_wait_for_them(app, jobs):
    app.task(lambda: None, name="known")
    elsewhere = app.enqueue("elsewhere", {"number": 7})
    app.enqueue("known")

    assert jobs.advance(days=1) == 1
    call = jobs.assert_enqueued("elsewhere", number=7)
    assert (call.state, call.due_at, call.note) == ("scheduled", None, "the app under test has no task elsewhere")
    assert elsewhere.cancel()
    assert elsewhere.state() == "canceled"


def test_a_result_that_does_not_come_since_its_attempt_failed_says_so(app, jobs):
    @app.task
    def broken() -> None:
        raise LookupError("no such user")

    with pytest.raises(ResultTimeout, match="the last attempt that failed: LookupError: no such user") as caught:
        broken.enqueue().result(timeout=60)
    assert isinstance(caught.value.__cause__, LookupError)
