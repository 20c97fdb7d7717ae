"""Words for the steps of a run, as its worker writes them."""

from __future__ import annotations

from typing import Any

from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.questions import build_question
from jobistemer.core.runs.settle import Suspension
from jobistemer.core.runs.steps import Signal, StepRecord, decode_signals, encode_step
from jobistemer.store.calls.durable.signals import send_signal
from jobistemer.store.calls.durable.steps import StepWrite, record_steps
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, fetch_one, finish

LATER = NOW + 60_000


def step(asked: int = 1, done: int = 2, **changes: Any) -> bytes:
    """The record of a step."""
    return encode_step(StepRecord(**{"asked": asked, "done": done, **changes}))


def record(database: Database, delivery: Delivery, records: dict[str, bytes], **more: Any) -> str:
    """Write records of one run; the word that is answered."""
    reply = database.call(record_steps(database.keys, [StepWrite(delivery, records, **more)]))
    (word,) = reply.values
    return word.decode()


def ask(database: Database, run: str, place: str = "default:5", text: str = "Is it fine?") -> None:
    """Have a run that waits on its stream ask everybody a question, as its worker does."""
    delivery = fetch_one(database, where=place)
    assert delivery.message.run == run
    question = build_question("approved", text, (), bool, (NOW, LATER))
    assert suspend(database, delivery, wait="approved", question=question, records={"first": step()}).word == "DONE"


def signal(
    database: Database,
    identity: str = "s1",
    name: str = "paid",
    value: str = "1",
    run: str = "run_1",
    call: str = "c1",
) -> Reply:
    sent = Signal(identity, name, value, NOW, "ann", call=call)
    return database.call(send_signal(database.keys, run, "default:5", sent))


def signals(database: Database, run: str = "run_1") -> list[Signal]:
    return decode_signals(database.client.hget(database.keys.run(run), "signals"))


def suspend(database: Database, delivery: Delivery, due_at: int = LATER, **more: Any) -> Reply:
    """End an attempt as suspended."""
    why = Suspension(due_at, more.pop("reason", "sleeps"), **more)
    return finish(database, build_ended(delivery, "suspended", suspension=why))
