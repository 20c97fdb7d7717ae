"""Every path to an end keeps the same facts: the state, who and why, since when, and the attempts that there were."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from jobistemer import Concurrency, Context, Done, Fail, Retry
from jobistemer.cli import main
from jobistemer.control.cancel import cancel_occurrence, cancel_run
from jobistemer.control.queues import QueueControl
from jobistemer.control.run_list import RunChoice, list_runs
from jobistemer.core import ids
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.calls.groups import group_ids
from jobistemer.store.reads import records
from tests.support.dashboard_client import DashboardClient, HtmlPage
from tests.support.lifecycle import MINUTE
from tests.support.step_system import StepWorker, build_ticker, read_attempts, read_occurrences

WHO, BY_HAND = "ada@desk", "not needed (by ada@desk)"


class End(NamedTuple):
    """An end: how the run is brought to it, its state, how many attempts have begun, and a part of the reason."""

    bring: Callable[[SimpleNamespace], str]
    state: str
    attempts: int
    why: str


def called(task: str, steps: Callable[[SimpleNamespace, str], object], **options):
    """A run of a task, and what happens to it then."""

    def bring(world: SimpleNamespace) -> str:
        run = world.app.enqueue(task, **options).id
        steps(world, run)
        return run

    return bring


def works(world, _run=""):
    world.worker.work()


def cancels(world, run):
    world.clock.advance(1)
    cancel_run(world.app.namespace, run, "not needed", WHO)


def works_and_is_canceled(world, run):
    works(world)
    cancels(world, run)


def is_canceled_while_it_runs(world, run):
    world.worker.begin(*world.worker.fetch())
    cancels(world, run)
    world.worker.beat()
    world.worker.watchdog.step()
    world.worker.commit()


def is_canceled_while_fetched(world, run):
    world.worker.fetch()
    cancels(world, run)
    world.worker.beat()
    world.worker.execute()
    world.worker.commit()


def is_purged(world, _run):
    QueueControl(world.app.namespace, WHO).purge("default", "not needed")


def expires(world, _run):
    world.clock.advance(10)
    works(world)


def times_out(world, _run):
    attempt = world.worker.begin(*world.worker.fetch())
    world.worker.attempts.end(attempt, Outcome(AttemptState.TIMED_OUT, error="ran no longer than 60 s"))
    world.worker.committer.finished.put(attempt)
    world.worker.commit()


def waits_for_a_limit_and_is_canceled(world):
    world.app.enqueue("limited")
    run = world.app.enqueue("limited").id
    world.worker.fetch()
    cancels(world, run)
    return run


def is_lost_and_done_by_another(world, run):
    victim = StepWorker(world.database, world.app, "victim")
    victim.beat()
    for attempt in victim.fetch():
        victim.begin(attempt)
        world.database.call(attempt.build_start_call())
    for seconds in (16, 1):
        world.clock.advance(seconds)
        world.worker.beat()
    works(world)


def cannot_be_read(world, run):
    record = records.find_run(world.database, run)
    stream = world.database.keys.stream(record.place)
    world.database.ask("XDEL", stream, record.entry)
    world.database.ask("XADD", stream, "*", "m", json.dumps({"run": run, "handler": 7}), "n", "0", "c", "0")
    works(world)


def due(world):
    """An occurrence of the job has been fired; the run of its task."""
    world.app.deploy()
    world.clock.advance(MINUTE)
    world.ticker.tick()
    (occurrence,) = read_occurrences(world.database, world.job)
    return occurrence.id, ids.run_id(occurrence.id, ids.task_id(world.job.id, world.job.tasks[0].name))


def ends_with_its_occurrence(world):
    occurrence, run = due(world)
    cancel_occurrence(world.app.namespace, occurrence, "not needed", WHO)
    return run


def is_over_the_deadline(world):
    run = due(world)[1]
    world.clock.advance(31)
    build_ticker(world.database).tick()
    return run


def is_over_the_deadline_in_flight(world):
    run = due(world)[1]
    (attempt,) = [each for each in world.worker.fetch() if each.delivery.message.run == run]
    world.worker.begin(attempt)
    world.clock.advance(31)
    build_ticker(world.database).tick()
    world.worker.beat()
    world.worker.watchdog.step()
    world.worker.commit()
    return run


def is_replaced(world):
    run = due(world)[1]
    world.clock.advance(29)
    world.app.control.trigger("every_minute")
    world.ticker.tick()
    return run


def waits_behind_a_task_that_fails(world):
    world.job = world.graph
    occurrence, _ = due(world)
    works(world)
    return ids.run_id(occurrence, ids.task_id(world.job.id, "second"))


def ends_its_job(world):
    world.job = world.once
    run = due(world)[1]
    works(world)
    return run


def child_of(world, run):
    (group,) = group_ids(run, 1)
    return ids.child_run_id(group, 1)


def ends_with_its_group(world):
    run = world.app.enqueue("maps").id
    world.worker.fetch()
    world.worker.execute()
    world.worker.commit()
    cancel_run(world.app.namespace, run, "not needed", WHO)
    works(world)
    return child_of(world, run)


ENDS = {
    "succeeded": End(called("fine", works), "succeeded", 1, ""),
    "failed": End(called("gives_up", works), "failed", 1, "no use"),
    "dead": End(called("breaks", works), "dead", 1, "ValueError: broken"),
    "timed out": End(called("slow", times_out), "timed_out", 1, "no longer than"),
    "lost, and done by another": End(called("fine", is_lost_and_done_by_another), "succeeded", 2, ""),
    "canceled while pending": End(called("fine", cancels), "canceled", 0, BY_HAND),
    "canceled while delayed": End(called("fine", cancels, delay=60), "canceled", 0, BY_HAND),
    "canceled before a retry": End(called("retries", works_and_is_canceled), "canceled", 1, BY_HAND),
    "canceled while suspended": End(called("asks", works_and_is_canceled), "canceled", 1, BY_HAND),
    "canceled while it waits for a limit": End(waits_for_a_limit_and_is_canceled, "canceled", 0, BY_HAND),
    "canceled while fetched": End(called("fine", is_canceled_while_fetched), "canceled", 0, BY_HAND),
    "canceled in flight": End(called("fine", is_canceled_while_it_runs), "canceled", 1, BY_HAND),
    "purged": End(called("fine", is_purged), "canceled", 0, BY_HAND),
    "expired": End(called("fine", expires, expires=5), "canceled", 0, "expired"),
    "unreadable": End(called("fine", cannot_be_read), "dead", 0, "cannot be read"),
    "with its occurrence": End(ends_with_its_occurrence, "canceled", 0, BY_HAND),
    "over the deadline": End(is_over_the_deadline, "timed_out", 0, "its occurrence timed out after 30 s"),
    "over the deadline in flight": End(
        is_over_the_deadline_in_flight, "timed_out", 1, "its occurrence timed out after 30 s"
    ),
    "replaced by the next": End(is_replaced, "canceled", 0, "replaced by"),
    "behind a task that fails": End(waits_behind_a_task_that_fails, "skipped", 0, ""),
    "done": End(ends_its_job, "succeeded", 1, ""),
    "with its group": End(ends_with_its_group, "canceled", 0, BY_HAND),
}


@pytest.fixture
def world(app, database, clock):
    @app.task
    def fine() -> int:
        return 7

    @app.task(retry=NO_RETRIES)
    def breaks() -> None:
        raise ValueError("broken")

    @app.task
    def gives_up() -> None:
        raise Fail("no use")

    @app.task
    def retries() -> None:
        raise Retry(after=60)

    @app.task(retry=NO_RETRIES, timeout=60)
    def slow() -> None: ...

    @app.task
    def asks(ctx: Context) -> None:
        ctx.wait_for("approved", bool)

    @app.task(limits=[Concurrency(1)])
    def limited() -> None: ...

    @app.task
    def child(n: int) -> None: ...

    @app.task
    def maps(ctx: Context) -> object:
        return ctx.map("child", [1, 2])

    @app.job("* * * * *", occurrence_timeout_s=30, overlap="replace")
    def every_minute() -> None: ...

    graph = app.job("* * * * *", name="graph")

    @graph.task(retry=NO_RETRIES)
    def first() -> None:
        raise ValueError("broken")

    @graph.task(after=[first])
    def second() -> None: ...

    @app.job("* * * * *")
    def once() -> None:
        raise Done("all imported")

    jobs = {each.name: each for each in app.jobs()}
    return SimpleNamespace(
        app=app, database=database, clock=clock, worker=StepWorker(database, app), ticker=build_ticker(database),
        job=jobs["every_minute"], graph=jobs["graph"], once=jobs["once"],
    )  # fmt: skip


@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
def test_every_path_to_an_end_keeps_the_same_facts(world, server_url, end):
    run = end.bring(world)
    record, attempts = records.find_run(world.database, run), read_attempts(world.database, run)
    assert isinstance(record, RunRecord)
    assert (str(record.state), record.attempts, len(attempts)) == (end.state, end.attempts, end.attempts)
    assert (end.why in record.error, bool(record.error)) == (True, bool(end.why))
    assert world.clock.now_ms() >= record.ended_at >= record.enqueued_at > 0
    assert [each.number for each in attempts] == list(range(end.attempts))
    assert all(each.started_at and each.ended_at >= each.started_at for each in attempts)
    if record.state is RunState.CANCELED:
        assert record.enqueued_at <= record.cancel <= record.ended_at
        assert record.cancel_reason
        assert record.cancel_reason in record.error
    if attempts and record.state is not RunState.SUCCEEDED and attempts[-1].number == record.attempt:
        assert attempts[-1].state in {AttemptState.FAILED, AttemptState.TIMED_OUT, AttemptState.CANCELED}
    check_list(world, record)
    check_command(server_url, record)
    check_page(world, record)


def check_list(world, record):
    if record.state is not RunState.SKIPPED:
        (listed,) = [
            each
            for each in list_runs([world.database], RunChoice([str(record.state)]), 10).runs
            if each.id == record.id
        ]
        assert (listed.attempts, listed.at, listed.note) == (record.attempts, record.ended_at, record.error)


def check_command(server_url, record):
    where = ("run", "show", record.id, "--url", server_url, "--namespace", "test")
    shown = json.loads(CliRunner().invoke(main, [*where, "--json"]).stdout)
    assert (shown["run"]["state"], len(shown["attempts"])) == (str(record.state), record.attempts)
    text = CliRunner().invoke(main, list(where)).stdout
    assert "1970" not in text
    assert "note" not in [line.split(" ")[0] for line in text.splitlines()]


def check_page(world, record):
    page = HtmlPage(DashboardClient(world.app.namespace).look(f"/runs/{record.id}"))
    text = " ".join(page.text.split())
    assert "1970" not in text
    assert re.search(rf"Attempts ?{record.attempts}\b", text)
    assert record.cancel_reason in text
