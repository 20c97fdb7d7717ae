"""`jobistemer run steps` and `jobistemer run rewind`."""

from __future__ import annotations

import click
from rich.console import Group, RenderableType

from jobistemer.cli.author_option import by_option
from jobistemer.cli.session import Session, with_session
from jobistemer.control.changes import ChangeList
from jobistemer.control.rewind import rewind_run
from jobistemer.control.signals import require_run
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.runs.steps import Signal, StepView
from jobistemer.core.text import first_line, format_duration
from jobistemer.core.unreadable import to_text
from jobistemer.runtime.process_info import user_name
from jobistemer.store.reads.durable.steps import list_signals, list_steps
from jobistemer.terminal import tables

MAX_RESULT = 60
"""How many characters of a result are shown in the table."""


@click.command("steps")
@click.argument("run_id")
@with_session
def steps_command(session: Session, run_id: str) -> None:
    """List the steps of a run in their order, with its sleeps, its waits and the signals that it was sent."""
    database, run = require_run(session.namespace, run_id)
    steps, signals = list_steps(database, run.id), list_signals(database, run.id)
    answer = {"run": run.id, "state": run.state, "steps": steps, "signals": signals}
    session.print_answer(answer, lambda: _draw(run, steps, signals, session.now_ms))


@click.command("rewind")
@click.argument("run_id")
@click.option("--to", "step", required=True, metavar="STEP", help="The step that is done again, and all after it.")
@by_option
@with_session
def rewind_command(session: Session, run_id: str, step: str, by: str | None) -> None:
    """Let a run that has ended without success, or is suspended, do a step again and all that come after it.

    The records of the steps before it are kept. Prints the id of the run that does them: that of a suspended run is the
    same, a run that has ended gets a new one, and each names the other.
    """
    author = by or user_name()
    again = rewind_run(session.namespace, run_id, step)
    ChangeList(session.namespace, author).record("rewind run", run_id, f"to {step}")
    session.print_answer({"run": again, "rewound": run_id, "to": step}, lambda: tables.cell(again))


def _draw(run: RunRecord, steps: list[StepView], signals: list[Signal], now_ms: int) -> RenderableType:
    if not steps and not signals:
        return f"run {run.id} is {run.state} and has no steps on record"
    rows = [
        (
            each.name,
            each.kind,
            each.state,
            each.attempt + 1,
            tables.format_instant(each.started_at, now_ms),
            format_duration(each.took_ms) if each.ended_at else "–",
            each.tries or "",
            _describe(each, now_ms),
        )
        for each in steps
    ]
    heads = ("step", "kind", "state", "attempt", "began (UTC)", "took", "failed tries", "result, or why")
    sent = [
        (each.name, each.id, tables.format_instant(each.at, now_ms), each.by, "taken" if each.taken else each.value)
        for each in signals
    ]
    parts = [tables.table(heads, rows)]
    return Group(*parts, *([tables.table(("signal", "id", "sent (UTC)", "by", "value"), sent)] if sent else []))


def _describe(step: StepView, now_ms: int) -> str:
    if step.error and step.state != "done":
        return first_line(step.error)
    if step.due_at and step.state == "waiting":
        return f"until {tables.format_instant(step.due_at, now_ms)}"
    result = to_text(bytes(step.result))
    return "" if result == "null" else result if len(result) <= MAX_RESULT else f"{result[:MAX_RESULT]}…"
