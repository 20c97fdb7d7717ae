"""The steps of a run as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core.runs.steps import Signal, StepRecord, StepView, decode_signals, decode_step, view_steps
from jobistemer.core.unreadable import READ_ERRORS, explain, to_text
from jobistemer.store.database import Database


def list_steps(database: Database, run_id: str) -> list[StepView]:
    """Return the steps of a run that are on record, in their order; one that cannot be read says why.

    Raises NotConnected or ServerRefused, as all functions here.
    """
    raw = database.read("HGETALL", database.keys.steps(run_id)) or {}
    return view_steps({to_text(name): _read(record) for name, record in raw.items()}, database.clock.now_ms())


def list_steps_of_runs(database: Database, run_ids: Sequence[str]) -> dict[str, list[StepView]]:
    """Return the steps of several runs by run, in one round trip; runs without steps are left out."""
    now_ms = database.clock.now_ms()
    answers = database.read_all([("HGETALL", database.keys.steps(run)) for run in run_ids])
    return {
        run: view_steps({to_text(name): _read(record) for name, record in raw.items()}, now_ms)
        for run, raw in zip(run_ids, answers, strict=True)
        if raw
    }


def list_signals(database: Database, run_id: str) -> list[Signal]:
    """Return the signals that a run was sent, in the order of arrival."""
    return decode_signals(database.read("HGET", database.keys.run(run_id), "signals"))


def _read(record: bytes) -> StepRecord:
    try:
        return decode_step(record)
    except READ_ERRORS as error:
        return StepRecord("unreadable", error=f"it cannot be read: {explain(error)}")
