"""A stored call is sent once for each committed row, and never for a row that was rolled back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from jobistemer import (
    Debounce,
    InvalidDefinition,
    InvalidInput,
    InvalidPayload,
    Misconfigured,
    Options,
    Unique,
    UnknownRun,
)
from jobistemer.contrib.outbox import Outbox
from jobistemer.contrib.outbox_calls import BATCH, NEVER_MS
from jobistemer.testing import under_test
from tests.support.apps import drain_queues, empty_app


@pytest.fixture
def app(server_url):
    app = empty_app(server_url)

    @app.task
    def send(to: str, copies: int = 1) -> str:
        app.sent.append(to)
        return f"{to} × {copies}"

    app.sent, app.send = [], send
    return app


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/shop.sqlite3")
    yield engine
    engine.dispose()


@pytest.fixture
def outbox(app, engine):
    outbox = Outbox(app, engine)
    outbox.create_table()
    return outbox


def test_a_committed_call_is_sent_and_a_rolled_back_one_is_not(app, engine, outbox):
    with Session(engine) as session:
        kept = outbox.enqueue(session, app.send, "a", copies=2)
        session.commit()
        lost = outbox.enqueue(session, app.send, "b")
        session.rollback()
    with pytest.raises(UnknownRun):
        kept.state()
    assert outbox.relay() == 1
    drain_queues(app)
    assert kept.result(0) == "a × 2"
    with pytest.raises(UnknownRun):
        lost.state()
    assert outbox.count() == {"waiting": 0, "refused": 0}


def test_options_of_a_call_are_stored_with_it(app, engine, outbox):
    with engine.begin() as connection:
        later = outbox.enqueue(connection, app.send.options(queue="mail", priority=9, delay=60), "a")
        first = outbox.enqueue(connection, app.send.options(unique="order-7", metadata={"order": "7"}), "b")
        second = outbox.enqueue(connection, app.send.options(unique=Unique("order-7")), "c")
        named = outbox.enqueue(connection, app.request("send", {"to": "d"}, throttle=60, expires=timedelta(hours=1)))
        plain = outbox.enqueue(connection, "send", to="e")
    assert outbox.relay() == 5
    record = later.record()
    assert (record.state, record.place) == ("scheduled", "mail:9")
    assert first.state() == named.state() == plain.state() == "pending"
    with pytest.raises(UnknownRun):
        second.state()


def test_a_row_that_is_sent_twice_has_one_run(app, engine, outbox):
    with engine.begin() as connection:
        run = outbox.enqueue(connection, app.send, "a")
        row = connection.execute(select(outbox.table)).one()
    outbox.relay()
    drain_queues(app)
    with engine.begin() as connection:
        connection.execute(insert(outbox.table).values(run_id=row.run_id, call=row.call, due_ms=0, error=""))
    assert outbox.relay() == 1
    assert run.record().attempt == 0
    drain_queues(app)
    assert app.sent == ["a"]
    assert outbox.count() == {"waiting": 0, "refused": 0}


def test_a_row_that_cannot_be_sent_stays_and_holds_up_no_other(app, engine, outbox, caplog):
    with engine.begin() as connection:
        good = outbox.enqueue(connection, app.send, "a")
        values = {"due_ms": 0, "error": ""}
        connection.execute(insert(outbox.table).values(run_id="x", call="{", **values))
        connection.execute(
            insert(outbox.table).values(
                run_id="y", call='{"type":"call-1","task":"send","run_id":"y","payload":{}}', **values
            )
        )
        other = outbox.enqueue(connection, app.send, "b")
    assert outbox.relay() == 4
    assert good.state() == other.state() == "pending"
    assert outbox.count() == {"waiting": 0, "refused": 2}
    with engine.connect() as connection:
        rows = {row.run_id: row for row in connection.execute(select(outbox.table))}
    assert rows["x"].due_ms == rows["y"].due_ms == NEVER_MS
    assert "no call" in rows["x"].error
    assert "run_id is 'y'" in rows["y"].error
    assert "cannot be sent and stays" in caplog.text
    assert outbox.relay() == 0


def test_a_call_for_a_closed_queue_waits(app, engine, outbox):
    app.queues.drain("default")
    with engine.begin() as connection:
        run = outbox.enqueue(connection, app.send, "a")
        outbox.enqueue(connection, app.send.options(queue="mail"), "b")
    assert outbox.relay() == 2
    assert outbox.count() == {"waiting": 1, "refused": 0}
    assert outbox.relay() == 0
    app.queues.open("default")
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobistemer_outbox SET due_ms = 0"))
    assert outbox.relay() == 1
    assert run.state() == "pending"


def test_more_rows_than_a_batch_are_sent_by_the_job(app, engine, outbox):
    with engine.begin() as connection:
        for number in range(BATCH + 20):
            outbox.enqueue(connection, app.send, str(number))
    assert app.handlers["outbox-relay"].function.__name__ == "run"
    assert outbox.relay() == BATCH
    assert outbox.relay() == 20
    assert outbox.relay() == 0


def test_an_asyncio_session_stores_calls_too(app, engine, outbox, tmp_path):
    async def store() -> str:
        own = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.sqlite3")
        async with AsyncSession(own) as session:
            run = await outbox.enqueue_async(session, app.send, "a")
            await session.commit()
            await outbox.enqueue_async(session, app.send, "b")
        with pytest.raises(InvalidInput, match="AsyncSession"):
            await outbox.enqueue_async(None, app.send, "a")
        await own.dispose()
        return run.id

    run = asyncio.run(store())
    assert outbox.relay() == 1
    drain_queues(app)
    assert app.run(run).result(0) == "a × 1"


def test_what_cannot_be_a_call_is_refused_where_it_is_stored(app, engine, outbox):
    with Session(engine) as session:
        with pytest.raises(InvalidPayload):
            outbox.enqueue(session, app.send, to=5)
        with pytest.raises(InvalidInput, match="debounced"):
            outbox.enqueue(session, app.send.options(debounce=Debounce(5)), "a")
        with pytest.raises(InvalidInput, match="5 is no task"):
            outbox.enqueue(session, 5)
        with pytest.raises(InvalidInput, match="session is"):
            outbox.enqueue(engine, app.send, "a")
        session.commit()
    assert outbox.relay() == 0
    with pytest.raises(Misconfigured, match="allowed is an Engine"):
        Outbox(app, "sqlite://", job="second")
    with pytest.raises(InvalidDefinition, match="outbox-relay"):
        Outbox(app, engine)


def test_under_test_the_steps_send_what_was_stored_and_the_relay_has_no_instants(app, engine, outbox):
    @app.task
    def order(number: int) -> None:
        with engine.begin() as connection:
            outbox.enqueue(connection, app.send, to=f"order {number}")

    with under_test(app) as jobs:
        with engine.begin() as connection:
            run = outbox.enqueue(connection, app.send, "a")
        jobs.refute_enqueued(app.send)
        order.enqueue(7)
        # What the handler stores on the way is sent in the same step
        assert jobs.run_until_idle() == 3
        assert app.sent == ["a", "order 7"]
        assert run.result() == "a × 1"
        # A century of seconds would take days
        assert jobs.advance(days=36_500) == 0
    assert "outbox-relay" in app.declarations


def test_under_test_an_outbox_that_is_not_used_needs_no_table(app, engine):
    Outbox(app, engine)

    @app.job("0 2 * * *")
    def nightly() -> None: ...

    with under_test(app) as jobs:
        jobs.advance(days=1)
        jobs.assert_occurred(nightly)


def test_defaults_of_the_app_apply_when_the_call_is_sent(server_url, engine):
    app = empty_app(server_url)
    app.defaults = Options(queue="bulk")
    outbox = Outbox(app, engine, every=None)
    outbox.create_table()
    with engine.begin() as connection:
        run = outbox.enqueue(connection, "elsewhere", to="a")
    outbox.relay()
    assert run.record().handler == "elsewhere"
    assert "outbox-relay" not in app.declarations
