"""Code that was written for Celery runs on an app of ours: calls, chains, groups, chords, retries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobistemer import InvalidInput, Misconfigured, RunFailed
from jobistemer.contrib import celery
from jobistemer.contrib.celery import chain, chord, group, set_default_app, shared_task
from jobistemer.contrib.celery.links import TASKS
from jobistemer.contrib.celery.shared import _shared
from tests.support.apps import drain_queues, empty_app


@pytest.fixture
def app(server_url, monkeypatch):
    """An app with shared tasks; none of them is left to another test."""
    monkeypatch.setattr(TASKS, "app", None)
    for known in (TASKS.functions, _shared):
        for name in list(known):
            monkeypatch.delitem(known, name)
    app = empty_app(server_url)
    set_default_app(app)
    yield app
    TASKS.bound.clear()


@pytest.fixture
def add(app):
    @shared_task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    return add


@pytest.fixture
def total(app):
    @shared_task(name="total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    return total


def test_a_call_is_a_run_of_the_task(app, add):
    result = add.delay(2, 3)
    assert result.state == "PENDING"
    drain_queues(app)
    assert (result.get(0), result.state, result.successful()) == (5, "SUCCESS", True)
    assert add(2, 3) == 5


def test_the_options_of_a_call_are_those_of_ours(app, add):
    later = add.apply_async((1, 2), countdown=60, queue="slow", priority=3, expires=90)
    record = later.handle.record()
    assert record.state == "scheduled"
    assert record.place == "slow:3"
    at = datetime.now(UTC) + timedelta(hours=1)
    assert add.apply_async((1,), {"y": 2}, eta=at).handle.record().state == "scheduled"
    with pytest.raises(InvalidInput, match="eta"):
        add.apply_async((1, 2), eta=datetime(2030, 1, 1))
    with pytest.raises(InvalidInput, match="'exchange' of a call has no equal"):
        add.apply_async((1, 2), exchange="x")
    with pytest.raises(InvalidInput, match="task 'add'"):
        add.delay(1, 2, 3)


def test_a_chain_hands_each_result_to_the_next_link(app, add):
    result = chain(add.s(1, 2), add.s(10), add.si(4, 4), add.s(1))()
    assert result.state == "PENDING"
    drain_queues(app)
    assert result.get(0) == 9
    assert (add.s(1, 1) | add.s(1)).delay().ids != result.ids


def test_a_chain_ends_with_the_link_that_failed(app, add):
    @shared_task(name="fail")
    def fail(x: int) -> int:
        raise ValueError("no")

    result = chain(add.s(1, 2), fail.s(), add.s(10))()
    drain_queues(app)
    with pytest.raises(RunFailed, match="no"):
        result.get(0)
    assert len(result.ids) == 3
    assert result.state == "PENDING"


def test_a_group_gives_its_results_in_order(app, add):
    result = group(add.s(n, n) for n in range(5))()
    drain_queues(app)
    assert result.get(0) == [0, 2, 4, 6, 8]
    assert result.ready()
    assert result.successful()


def test_the_body_of_a_chord_gets_the_results_of_its_header(app, add, total):
    same = chord(add.s(n, n) for n in range(4))(total.s())
    mixed = chord([add.s(1, 1), total.s([5, 6])])(total.s())
    drain_queues(app)
    assert same.get(0) == 12
    assert mixed.get(0) == 13
    with pytest.raises(InvalidInput, match="no body"):
        chord([add.s(1, 1)])()


def test_only_the_named_errors_are_retried(app):
    calls = []

    @shared_task(name="flaky", autoretry_for=(ConnectionError,), retry_backoff=1, max_retries=2)
    def flaky(error: str) -> str:
        calls.append(error)
        raise ConnectionError(error) if error == "away" else KeyError(error)

    away, wrong = flaky.delay("away"), flaky.delay("wrong")
    drain_queues(app)
    assert away.state == "RETRY"
    assert wrong.state == "FAILURE"
    assert sorted(calls) == ["away", "wrong"]


def test_a_bound_task_knows_its_run_and_asks_to_be_tried_again(app):
    seen = []

    @shared_task(name="charge", bind=True, max_retries=1, default_retry_delay=30)
    def charge(self, order: int) -> None:
        seen.append((self.request.id, self.request.retries, order))
        self.retry(exc=OSError("busy"))

    result = charge.delay(7)
    drain_queues(app)
    assert seen == [(result.id, 0, 7)]
    assert result.state == "RETRY"


def test_the_time_out_of_a_caller_is_for_all_links_together(app, add, monkeypatch):
    waited = []

    def result(run, timeout):
        waited.append(timeout)
        moments.append(moments[-1] + 2)
        return 1

    moments = [100.0]
    monkeypatch.setattr("jobistemer.contrib.celery.links.time.monotonic", lambda: moments[-1])
    monkeypatch.setattr("jobistemer.app.handles.RunHandle.result", result)
    chain(add.s(1, 2), add.s(3), add.s(4))().get(5)
    group(add.s(1, 2), add.s(3, 4))().get(3)
    assert waited == [5, 3, 1, 3, 1]


def test_a_cancelled_call_is_revoked(app, add):
    result = add.apply_async((1, 2), countdown=60)
    result.revoke()
    assert result.state == "REVOKED"
    assert result.ready()


def test_tasks_without_an_app_and_unknown_options_are_refused_by_name(app, monkeypatch, add):
    with pytest.raises(InvalidInput, match="'link_error' of a shared task has no equal"):
        shared_task(link_error=1)(lambda: None)
    monkeypatch.setattr(TASKS, "app", None)
    with pytest.raises(Misconfigured, match="set_default_app"):
        add.delay(1, 2)
    with pytest.raises(Misconfigured, match=r"allowed is the object: app = Jobistemer\(\)"):
        set_default_app("app")


def test_a_chain_whose_links_are_too_long_is_refused_when_it_is_made(app, total):
    with pytest.raises(InvalidInput, match="4096"):
        chain(*[total.si(list(range(100))) for _ in range(50)])()


def test_the_names_that_code_imports_are_there():
    assert set(celery.__all__) >= {"shared_task", "chain", "group", "chord", "AsyncResult"}
