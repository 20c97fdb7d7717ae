"""Fan-out at run time and fan-in: what must hold whatever dies in between."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest

from jobistemer.core import ids
from jobistemer.core.errors import Misconfigured, NotConnected
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail
from jobistemer.core.jobs.retries import NO_RETRIES, Delays
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.report import Report
from jobistemer.core.runs.results import Results
from jobistemer.core.states import RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import groups
from jobistemer.store.reads import records as views
from tests.integration.worker.test_failure_strategies import table
from tests.support.clocks import NOW
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, break_next, build_ticker, open_app


@pytest.fixture
def app(server_url, clock, database):
    app = open_app(server_url, clock)
    app.ran, app.reduced = Counter(), []

    @app.task(retry=NO_RETRIES)
    def square(n: int) -> int:
        app.ran[n] += 1
        if n < 0:
            raise ValueError(f"{n} is negative")
        return n * n

    @app.task
    def total(results: Results[int]) -> int:
        app.reduced.append(list(results))
        return sum(results)

    @app.task
    def fan(items: list[int], ctx: Context, failure: str | None = None) -> str:
        return ctx.map("square", items, reduce=total, failure=failure)

    return app


def reducer_of(run):
    return ids.reducer_run_id(run.id)


def record(database, run_id):
    return views.find_run(database, run_id)


def test_a_reducer_that_needs_what_nobody_gives_is_refused_before_anything_is_mapped(app, database):
    @app.task
    def plain(results: list[int]) -> int:
        return sum(results)

    @app.task
    def fan_plain(ctx: Context) -> str:
        return ctx.map("square", [1, 2], reduce=plain)

    run = fan_plain.enqueue()
    StepWorker(database, app).work()
    assert not app.ran
    # At once, without a retry: the next attempt would name the same reducer
    assert (run.state(), run.record().attempt) == ("dead", 0)
    assert record(database, run.id).error.startswith(
        "task 'plain' cannot be a reducer, which is given a parameter annotated Results[…] only: payload "
        "of task 'plain' does not fit: Object missing required field `results`"
    )


def test_a_reducer_whose_annotation_can_never_fit_is_refused_before_anything_is_mapped(app, database):
    @app.task
    def join(results: Results[str]) -> str:
        return "".join(results)

    @app.task
    def fan_texts(ctx: Context) -> str:
        return ctx.map("square", [1, 2], reduce=join)

    run = fan_texts.enqueue()
    StepWorker(database, app).work()
    assert not app.ran
    assert (run.state(), run.record().attempt) == ("dead", 0)
    assert run.record().error == (
        "task 'join' cannot be the reducer of task 'square': its parameter 'results' is annotated Results[str], and "
        "'square' returns int"
    )


def test_a_result_that_does_not_fit_the_reducer_ends_it_as_dead_without_a_retry_and_names_the_item(app, database):
    @app.task
    def either(n: int):
        return n if n else "none"

    @app.task
    def add(results: Results[int]) -> int:
        return sum(results)

    @app.task
    def fan_either(ctx: Context) -> str:
        return ctx.map(either, [1, 2, 0], reduce=add)

    run = fan_either.enqueue()
    StepWorker(database, app).work()
    reducer = app.run(reducer_of(run))
    assert (reducer.state(), reducer.record().attempt) == ("dead", 0)
    assert reducer.record().error == ("result 2 of 3 does not fit the annotation Results[…]: Expected `int`, got `str`")
    (letter,) = app.dead.page()
    assert letter.run.id == reducer.id


def test_the_reducer_receives_what_all_runs_returned_in_order_and_once(app, database):
    run = app.enqueue("fan", {"items": list(range(250))})

    StepWorker(database, app).work()

    assert app.reduced == [[n * n for n in range(250)]]
    assert app.run(run.result(timeout=0)).result(timeout=0) == sum(n * n for n in range(250))
    assert find_leaks(database) == {}


def test_of_no_items_the_reducer_receives_nothing(app, database):
    app.enqueue("fan", {"items": []})
    StepWorker(database, app).work()
    assert app.reduced == [[]]
    assert find_leaks(database) == {}


def test_a_parent_that_fails_between_two_batches_adds_only_the_rest_when_it_comes_back(app, database, clock):
    def items(attempt):
        yield from range(1_200)
        if attempt == 0:
            raise ConnectionError("the source went away")
        yield from range(1_200, 1_500)

    @app.task(retry=Delays((0.0,)))
    def stream(ctx: Context) -> str:
        return ctx.map("square", items(ctx.attempt), reduce="total")

    app.enqueue("stream")
    worker = StepWorker(database, app)
    worker.work()

    assert set(app.ran.values()) == {1}
    assert app.reduced == [[n * n for n in range(1_500)]]
    assert find_leaks(database) == {}


def test_a_worker_that_dies_after_mapping_loses_nothing_and_doubles_nothing(app, database, open_database, clock):
    # Given a worker that has mapped and dies before its commit
    run = app.enqueue("fan", {"items": [1, 2, 3]})
    alice = StepWorker(database, app, "alice")
    alice.beat()
    alice.fetch()
    alice.execute()

    # When its lease ends, another takes over, and the dead one wakes up
    clock.advance(60)
    bob = StepWorker(open_database(), app, "bob")
    for _ in range(2):
        bob.beat()
    bob.work()
    alice.commit()
    bob.work()

    # Then everything happened once
    assert app.ran == {1: 1, 2: 1, 3: 1}
    assert app.reduced == [[1, 4, 9]]
    assert alice.committer.counts["stale"] == 1
    assert record(database, run.id).attempt == 1
    assert find_leaks(database) == {}


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_whose_answer_was_lost_releases_the_reducer_once(app, database, after):
    app.enqueue("fan", {"items": [1, 2]})
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()
    with break_next(database, "call_all", lambda: NotConnected("gone"), after=after), pytest.raises(NotConnected):
        worker.committer.step()
    worker.committer.step()
    worker.work()
    assert app.reduced == [[1, 4]]
    assert find_leaks(database) == {}


def test_a_run_that_was_mapped_may_map_in_its_turn(app, database):
    @app.task
    def row(start: int, ctx: Context) -> str:
        return ctx.map("square", range(start, start + 2), reduce="total")

    @app.task
    def grid(ctx: Context) -> str:
        return ctx.map(row, [0, 10, 20], reduce="total")

    app.enqueue("grid")
    StepWorker(database, app).work()
    assert app.reduced[-1] == [0 + 1, 100 + 121, 400 + 441]
    assert find_leaks(database) == {}


def test_coroutines_map_without_blocking_their_loop(app, database):
    import asyncio

    from jobistemer.worker.execute.execute import run_async

    @app.task
    async def later(ctx: Context) -> str:
        return await ctx.map_async("square", [5], reduce="total")

    app.enqueue("later")
    worker = StepWorker(database, app)
    (attempt,) = worker.fetch()
    worker.waiting.clear()
    assert asyncio.run(run_async(attempt, worker.attempts, lambda: None))
    worker.committer.finished.put(attempt)
    worker.commit()
    worker.work()
    assert app.reduced == [[25]]


STRATEGIES = {row[0]: row for row in table("the other runs after the first failure")}


@pytest.mark.parametrize("failure", STRATEGIES)
def test_a_failure_among_mapped_runs_is_what_the_table_says(app, database, failure):
    _, others, reducer = STRATEGIES[failure]
    run = app.enqueue("fan", {"items": [1, -1, 2], "failure": failure})
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()
    worker.commit()
    attempts = worker.fetch()
    # The one in the middle fails first; what a worker takes after that, it asks the group about.
    failing = next(attempt for attempt in attempts if attempt.delivery.message.member.index == 1)
    waiting, worker.waiting[:] = list(worker.waiting), [failing]
    worker.execute()
    worker.commit()
    left = [attempt for attempt in waiting if attempt is not failing]
    worker.attempts.cancel(groups.find_halted(database, [attempt.delivery.message for attempt in left]))
    worker.waiting[:] = left
    worker.execute()
    worker.commit()
    worker.work()

    assert ("are cancelled" in others) == (app.ran[1] == 0)
    called = "is called" in reducer
    assert app.reduced == ([[1, 4]] if called else [])
    end = record(database, reducer_of(run))
    assert end.state == (RunState.SUCCEEDED if called else RunState.FAILED)
    if not called:
        assert "runs did not succeed: item 1 dead: ValueError: -1 is negative" in end.error
    assert find_leaks(database) == {}


def test_what_has_failed_is_told_with_its_index(app, database):
    seen = {}

    @app.task
    def tell(results: Results[int]) -> None:
        seen["len"], seen["failed"] = len(results), results.failed
        seen["fine"] = list(results.indexed())
        seen["failures"] = [(each.index, each.error.partition("\n")[0]) for each in results.failures()]

    @app.task
    def mixed(ctx: Context) -> str:
        return ctx.map("square", [3, -4], reduce=tell, failure="continue")

    app.enqueue("mixed")
    StepWorker(database, app).work()
    assert seen == {
        "len": 2,
        "failed": 1,
        "fine": [(0, 9)],
        "failures": [(1, "dead: ValueError: -4 is negative")],
    }


def test_a_failed_group_cancels_what_waits_for_a_retry(app, database, clock):
    @app.task(retry=Delays((3600.0,)))
    def flaky(n: int) -> None:
        raise OSError("again") if n else ValueError("never")

    @app.task
    def risky(ctx: Context) -> str:
        return ctx.map(flaky, [1, 2], reduce="total")

    run = app.enqueue("risky")
    worker = StepWorker(database, app)
    worker.work()
    assert len(records(database)["delayed"]) == 2
    assert cancel.cancel_run(database, run.id, "asked for") == "REQUESTED"
    assert "delayed" not in records(database)
    worker.work()
    assert record(database, reducer_of(run)).state is RunState.FAILED
    assert app.reduced == []
    assert find_leaks(database) == {}


def test_a_reducer_that_waits_is_cancelled_with_its_group(app, database):
    run = app.enqueue("fan", {"items": [1]})
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()
    worker.commit()
    assert cancel.cancel_run(database, reducer_of(run), "asked for") == "REQUESTED"
    worker.work()
    assert app.reduced == []
    assert "canceled: asked for" in record(database, reducer_of(run)).error


@pytest.mark.parametrize(
    ("task", "items", "failure", "says"),
    [
        ("square", ["x"], None, "item 0 of ctx.map: payload of task 'square' does not fit: Expected `int`, got `str`"),
        ("square", [1], "never", "failure is 'never', allowed are fail_fast, continue, retry_on_failure"),
        ("nobody", [1], None, "item 0 of ctx.map: this worker does not know task 'nobody', so items must be mappings"),
        ("square", [{"m": 1}], None, "item 0 of ctx.map: payload of task 'square' does not fit: Object"),
        ("no name", [], None, "task name 'no name' is not allowed"),
    ],
)
def test_what_cannot_be_mapped_is_refused_and_says_why(app, database, task, items, failure, says):
    @app.task(retry=NO_RETRIES)
    def wrong(ctx: Context) -> str:
        return ctx.map(task, items, reduce="total", failure=failure)

    run = app.enqueue("wrong")
    StepWorker(database, app).work()
    assert says in run.record().error
    assert app.reduced == []


def test_an_attempt_may_map_more_than_once_and_each_group_has_its_reducer(app, database):
    @app.task
    def twice(ctx: Context) -> list[str]:
        return [ctx.map("square", [1, 2], reduce="total"), ctx.map("square", [3, 4], reduce="total")]

    run = app.enqueue("twice")
    StepWorker(database, app).work()
    assert sorted(app.reduced) == [[1, 4], [9, 16]]
    first, second = run.result(timeout=0)
    assert [app.run(each).result(timeout=0) for each in (first, second)] == [5, 25]
    assert record(database, ids.join_run_id(run.id)).state is RunState.SUCCEEDED
    assert find_leaks(database) == {}


def test_an_attempt_after_a_crash_adds_to_each_of_its_groups_what_is_missing(app, database):
    def items(attempt):
        yield 3
        if attempt == 0:
            raise ConnectionError("the source went away")
        yield 4

    @app.task(retry=Delays((0.0,)))
    def twice(ctx: Context) -> None:
        ctx.map("square", [1, 2], reduce="total")
        ctx.map("square", items(ctx.attempt), reduce="total")

    app.enqueue("twice")
    StepWorker(database, app).work()
    assert app.ran == {1: 1, 2: 1, 3: 1, 4: 1}
    assert sorted(app.reduced) == [[1, 4], [9, 16]]
    assert find_leaks(database) == {}


def test_in_an_occurrence_what_comes_after_waits_for_all_groups_of_a_task(app, database):
    seen = {}
    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def spread(ctx: Context) -> str:
        for items in ([1, 2], [3], []):
            ctx.map("square", items, reduce="total")
        return "spread thrice"

    @nightly.task(after=[spread])
    def own(spread: str) -> None:
        seen["own"] = spread

    @nightly.task(after=[spread])
    def reduced(spread: Results[int]) -> None:
        seen["reduced"] = list(spread)

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    StepWorker(database, app).work()
    assert seen == {"own": "spread thrice", "reduced": [5, 9, 0]}
    report = app.report(occurrence)
    assert report.succeeded
    assert [(task.group.total, task.group.done) for task in report.tasks if task.group] == [(3, 3)]
    assert find_leaks(database) == {}


def test_a_task_fails_when_one_of_its_groups_has_failed_and_the_others_finish(app, database):
    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def spread(ctx: Context) -> None:
        ctx.map("square", [-1], reduce="total")
        ctx.map("square", [2], reduce="total")

    @nightly.task(after=[spread])
    def load() -> None:
        raise AssertionError("never")

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    StepWorker(database, app).work()
    report = app.report(occurrence)
    assert (report.state, [task.state for task in report.tasks]) == ("failed", ["succeeded", "skipped"])
    assert report.tasks[0].group.error.startswith("1 of 2 runs did not succeed: item 0 failed: 1 of 1 runs did not")
    assert app.reduced == [[4]]
    assert find_leaks(database) == {}


def test_a_run_that_maps_twice_may_itself_have_been_mapped(app, database):
    @app.task
    def rows(start: int, ctx: Context) -> None:
        ctx.map("square", [start, start + 1], reduce="total")
        ctx.map("square", [start + 2], reduce="total")

    @app.task
    def sums(results: Results[None]) -> None:
        app.reduced.append(list(results))

    @app.task
    def grid(ctx: Context) -> str:
        return ctx.map(rows, [0, 10], reduce=sums)

    app.enqueue("grid")
    StepWorker(database, app).work()
    assert sorted(app.reduced[:-1]) == [[0, 1], [4], [100, 121], [144]]
    assert app.reduced[-1] == [None, None]
    assert find_leaks(database) == {}


def test_all_groups_of_a_run_are_cancelled_with_it(app, database, clock):
    @app.task(retry=Delays((3600.0,)))
    def flaky(n: int) -> None:
        raise OSError("again")

    @app.task
    def risky(ctx: Context) -> None:
        ctx.map(flaky, [1], reduce="total")
        ctx.map(flaky, [2], reduce="total")

    run = app.enqueue("risky")
    worker = StepWorker(database, app)
    worker.work()
    assert len(records(database)["delayed"]) == 2
    assert cancel.cancel_run(database, run.id, "asked for") == "REQUESTED"
    worker.work()
    assert "delayed" not in records(database)
    assert record(database, ids.join_run_id(run.id)).state is RunState.FAILED
    assert app.reduced == []
    assert find_leaks(database) == {}


def test_an_attempt_makes_no_more_than_fifty_groups(app, database):
    @app.task(retry=NO_RETRIES)
    def many(ctx: Context) -> None:
        for _ in range(51):
            ctx.map("square", [1], reduce="total")

    run = app.enqueue("many")
    StepWorker(database, app).work()
    assert "ctx.map was called 50 times in this attempt, which is the most" in run.record().error
    assert app.reduced == []


def test_fifty_groups_are_sealed_in_one_step(app, database):
    @app.task
    def many(ctx: Context) -> None:
        for number in range(50):
            ctx.map("square", [number], reduce="total")

    run = app.enqueue("many")
    StepWorker(database, app).work()
    assert sorted(app.reduced) == [[n * n] for n in range(50)]
    assert record(database, ids.join_run_id(run.id)).state is RunState.SUCCEEDED
    assert find_leaks(database) == {}


# --- A parent that ends for good without handing over -----------------------------------------------------------------


@pytest.fixture
def children(app, database):
    """A run that has mapped children which wait for a retry, run, and wait on the stream; and its worker."""

    @app.task(retry=Delays((3600.0,)))
    def child(n: int) -> None:
        app.ran[n] += 1
        if n == 0:
            raise OSError("later")

    @app.task(retry=Delays((3600.0, 0.0)))
    def parent(ctx: Context, how: str) -> None:
        if ctx.attempt == 0:
            ctx.map(child, range(3), reduce="total")
            raise OSError("again") if how != "dies" else Fail("for good")
        raise Fail("for good")

    def begin(how: str):
        run = app.enqueue("parent", {"how": how})
        worker = StepWorker(database, app)
        worker.fetch()
        worker.execute()
        (end_of_parent,) = worker.committer.finished.take(1)
        # The children have been added; one of them fails, one runs, one waits.
        worker.fetch()
        rest = worker.waiting[1:]
        worker.waiting[:] = worker.waiting[:1]
        worker.execute()
        worker.waiting[:] = rest
        worker.begin(rest[0])
        worker.commit()
        worker.committer.finished.put(end_of_parent)
        worker.commit()
        return run, worker

    return begin


def ends_of_children(database, run):
    found = [record(database, ids.child_run_id(reducer_of(run), n)) for n in range(3)]
    return [(each.state.value, each.error.replace(run.id, "P")) for each in found]


def cancel_in(worker):
    worker.beat()
    worker.attempts.cancel(groups.find_halted(worker.database, [each.delivery.message for each in worker.waiting]))
    worker.work()
    worker.commit()


def test_children_end_with_a_reason_when_their_parent_fails_for_good(app, database, children):
    run, worker = children("dies")
    cancel_in(worker)
    assert ends_of_children(database, run) == [
        ("canceled", "canceled: its group has failed"),
        ("canceled", "canceled: run P, which has mapped them, ended failed"),
        ("canceled", "canceled: run P, which has mapped them, ended failed"),
    ]
    assert app.reduced == []
    assert find_leaks(database) == {}


def test_children_end_when_their_parent_fails_in_a_later_attempt_that_has_not_mapped(app, database, children, clock):
    run, worker = children("later")
    assert run.state() is RunState.SCHEDULED
    clock.advance(3_601)
    build_ticker(database).tick()
    worker.fetch()
    again = next(each for each in worker.waiting if each.delivery.message.run == run.id)
    rest = [each for each in worker.waiting if each is not again]
    worker.waiting[:] = [again]
    worker.execute()
    worker.commit()
    worker.waiting[:] = rest
    cancel_in(worker)
    assert {state for state, _ in ends_of_children(database, run)} == {"canceled"}
    assert find_leaks(database) == {}


def test_children_end_when_their_parent_is_cancelled_between_two_attempts(app, database, children):
    run, worker = children("later")
    assert cancel.cancel_run(database, run.id, "asked for") == "CANCELED"
    cancel_in(worker)
    assert {state for state, _ in ends_of_children(database, run)} == {"canceled"}
    assert find_leaks(database) == {}


def test_children_end_when_their_parent_has_killed_too_many_workers(app, database, open_database, clock):
    @app.task(max_crashes=1)
    def deadly(ctx: Context) -> None:
        ctx.map("square", [1, 2], reduce="total")

    run = app.enqueue("deadly")
    alice = StepWorker(database, app, "alice")
    alice.beat()
    alice.fetch()
    alice.execute()
    clock.advance(60)
    bob = StepWorker(open_database(), app, "bob")
    for _ in range(2):
        bob.beat()
    assert run.state() is RunState.DEAD
    bob.fetch()
    cancel_in(bob)
    assert app.ran == {}
    found = [record(database, ids.child_run_id(reducer_of(run), n)) for n in range(2)]
    assert [each.error for each in found] == [f"canceled: run {run.id}, which has mapped them, ended dead"] * 2
    assert find_leaks(database) == {}


def test_children_of_a_call_that_broke_off_end_although_their_parent_succeeds(app, database):
    def items():
        yield from range(1_000)
        raise ConnectionError("the source is gone")

    @app.task
    def goes_on(ctx: Context) -> str:
        with suppress(ConnectionError):
            ctx.map("square", items(), reduce="total")
        return ctx.map("square", [5], reduce="total")

    run = app.enqueue("goes_on")
    worker = StepWorker(database, app)
    worker.fetch()
    worker.execute()
    worker.commit()
    worker.fetch()
    cancel_in(worker)
    assert app.ran == {5: 1}
    assert app.run(run.result(timeout=0)).result(timeout=0) == 25
    assert find_leaks(database) == {}


def test_outside_of_a_worker_nothing_can_be_mapped():
    from datetime import UTC, datetime

    now = datetime.fromtimestamp(NOW / 1000, UTC)
    context = Context(
        run="run_1",
        attempt=0,
        attempt_id="a",
        handler="h",
        due_at=now,
        started_at=now,
        fencing_token=1,
    )
    with pytest.raises(Misconfigured, match=r"ctx\.map works inside a worker"):
        context.map("square", [1])


def test_in_an_occurrence_what_comes_after_waits_for_the_group_and_may_read_it(app, database):
    from datetime import UTC, datetime

    seen = {}
    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def extract() -> list[int]:
        return [1, 2, 3]

    @nightly.task(after=[extract])
    def spread(extract: list[int], ctx: Context) -> str:
        return ctx.map("square", extract)

    @nightly.task(after=[extract])
    def reduced(extract: list[int], ctx: Context) -> str:
        return ctx.map("square", extract, reduce="total")

    @nightly.task(after=[spread, reduced])
    def load(extract: list[int], spread: Results[int], reduced: int) -> None:
        seen["load"] = (extract, list(spread), reduced)

    @nightly.on_complete
    def done(report: Report) -> None:
        seen["report"] = report

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    StepWorker(database, app).work()
    assert seen["load"] == ([1, 2, 3], [1, 4, 9], 14)
    report = seen["report"]
    assert report == app.report(occurrence)
    assert report.succeeded
    assert {task.name: task.state for task in report.tasks} == dict.fromkeys(
        ("extract", "spread", "reduced", "load"), "succeeded"
    )
    assert [(task.group.total, task.group.done) for task in report.tasks if task.group] == [(3, 3), (3, 3)]
    assert datetime.fromtimestamp(report.due, UTC).year == 2027
    assert find_leaks(database) == {}


def test_a_failed_reducer_fails_the_task_that_mapped(app, database):
    @app.task(retry=NO_RETRIES)
    def broken(results: Results[int]) -> None:
        raise RuntimeError("no")

    nightly = app.job("0 0 1 1 *", name="nightly")

    @nightly.task
    def spread(ctx: Context) -> str:
        return ctx.map("square", [1], reduce=broken)

    @nightly.task(after=[spread])
    def load() -> None:
        raise AssertionError("never")

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    StepWorker(database, app).work()
    report = app.report(occurrence)
    assert (report.state, {task.name: task.state for task in report.tasks}) == (
        *("failed", {"spread": "succeeded", "load": "skipped"}),
    )
    assert report.tasks[0].group.state == "dead"
    assert "RuntimeError: no" in report.tasks[0].group.error
    assert find_leaks(database) == {}


def test_a_group_whose_occurrence_fails_fast_is_halted(app, database):
    nightly = app.job("0 0 1 1 *", name="nightly", retry=NO_RETRIES)

    @nightly.task
    def spread(ctx: Context) -> str:
        return ctx.map("square", [1, 2])

    @nightly.task
    def fails() -> None:
        raise ValueError("no")

    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    worker = StepWorker(database, app)
    attempts = worker.fetch()
    assert len(attempts) == 2
    worker.execute()
    worker.commit()
    left = worker.fetch()
    assert groups.find_halted(database, [each.delivery.message for each in left])
    worker.attempts.cancel(groups.find_halted(database, [each.delivery.message for each in left]))
    worker.work()
    assert app.ran == {}
    assert app.report(occurrence).state == "failed"
    left = find_leaks(database)
    left.pop("cancels", None)
    assert left == {}


def test_a_plain_message_carries_nothing_of_groups():
    from jobistemer.core.runs.message import encode_message

    assert b"member" not in encode_message(Message("run_1", "greet", 0))
    assert b"reduces" not in encode_message(Message("run_1", "greet", 0))


def test_items_without_an_end_are_refused(app, database, monkeypatch):
    from itertools import count

    from jobistemer.worker.execute import fan_out

    monkeypatch.setattr(fan_out, "MAX_ITEMS", 1_500)

    @app.task(retry=NO_RETRIES)
    def endless(ctx: Context) -> None:
        ctx.map("square", count(), reduce="total")

    run = app.enqueue("endless")
    StepWorker(database, app).work()
    assert "ctx.map was given more than 1500 items: map pages of them" in run.record().error
    assert app.reduced == []
