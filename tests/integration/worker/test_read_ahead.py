"""The steps of runs that were fetched together are read together, before their handlers begin."""

from __future__ import annotations

import msgspec
import pytest

from jobistemer import Context
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.store.calls.durable.steps import StepWrite, mark_durable, record_steps
from jobistemer.worker.fetch import read_ahead
from jobistemer.worker.fetch.read_ahead import read_steps_ahead
from tests.support.step_system import StepWorker, break_next
from tests.support.steps import step


@pytest.fixture
def worker(app, database):
    """A worker with two attempts whose step is on record."""

    @app.task
    def pay(ctx: Context) -> int:
        return ctx.step("charge", lambda: 1)

    for _ in range(2):
        app.enqueue("pay")
    worker = StepWorker(database, app)
    charged = {"charge": step(value=msgspec.Raw(b"7"))}
    database.call(record_steps(database.keys, [StepWrite(each.delivery, charged) for each in worker.fetch()]))
    for each in worker.waiting:
        each.delivery = msgspec.structs.replace(each.delivery, message=mark_durable(each.delivery.message))
    return worker


def test_the_steps_of_all_are_read_and_their_handlers_ask_the_server_no_more(worker, database):
    attempts = list(worker.waiting)
    read_steps_ahead(attempts)
    with break_next(database, "ask", lambda: NotConnected("away")) as asked:
        worker.execute()
    assert asked == []
    assert [each.outcome.result for each in attempts] == [b"7", b"7"]


def test_large_records_wait_on_the_server_until_their_handler_asks(worker, monkeypatch):
    monkeypatch.setattr(read_ahead, "MAX_KEPT_BYTES", 10)
    attempts = list(worker.waiting)
    read_steps_ahead(attempts)
    assert [each.records for each in attempts] == [None, None]


@pytest.mark.parametrize("error", [NotConnected, ServerRefused])
def test_while_the_server_is_away_or_refuses_each_handler_reads_for_itself(worker, database, error):
    attempts = list(worker.waiting)
    with break_next(database, "ask_all", lambda: error("not now")):
        read_steps_ahead(attempts)
    assert [each.records for each in attempts] == [None, None]
    worker.execute()
    assert [each.outcome.result for each in attempts] == [b"7", b"7"]


def test_no_more_than_a_hundred_are_read_at_a_time(worker, monkeypatch):
    monkeypatch.setattr(read_ahead, "MAX_RUNS", 1)
    attempts = list(worker.waiting)
    read_steps_ahead(attempts)
    assert [each.records is None for each in attempts] == [False, True]
