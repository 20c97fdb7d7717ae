"""`jobistemer run`: show, cancel and retry task runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec
from rich.console import Group, RenderableType

from jobistemer.cli.author_option import by_option
from jobistemer.cli.commands.durable.steps import rewind_command, steps_command
from jobistemer.cli.commands.watch import watch_command
from jobistemer.cli.hints import find_run_hints
from jobistemer.cli.list_answers import ListAnswer
from jobistemer.cli.session import Session, page_options, with_session
from jobistemer.control.cancel import cancel_run
from jobistemer.control.retry import retry_run
from jobistemer.control.run_list import MAX_READ, OLDER_WORDS, OPEN_STATES, STATES, RunChoice, list_runs
from jobistemer.core.errors import UnknownRun
from jobistemer.core.reads.summaries import RunSummary
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.records import AttemptRecord, RunRecord
from jobistemer.core.text import BY_HAND, CANCEL_MESSAGES, first_line, format_duration
from jobistemer.core.unreadable import to_text
from jobistemer.runtime.process_info import user_name
from jobistemer.store.reads import jobs, records
from jobistemer.store.reads.messages import find_sent_message
from jobistemer.terminal import tables

MAX_LOOKED_AT: Final = 1_000_000
MAX_PAYLOAD: Final = 4_000
"""How many characters of a payload are shown."""


class StateChoice(click.Choice[str]):
    """A state that runs are listed by; a word of earlier versions is taken with a note about the present ones."""

    def __init__(self) -> None:
        super().__init__(STATES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word as it was given. Raises click.BadParameter for one that never was a state."""
        if value not in OLDER_WORDS:
            return super().convert(value, param, ctx)
        click.echo(f"note: {value} is the older word for {' and '.join(OLDER_WORDS[value])}", err=True)
        return str(value)


@click.group("run")
def run_group() -> None:
    """List, show, cancel, retry and watch task runs."""


run_group.add_command(watch_command)
run_group.add_command(steps_command)
run_group.add_command(rewind_command)


@run_group.command("list")
@click.option(
    "--state",
    "states",
    type=StateChoice(),
    multiple=True,
    help="Only this state; may be repeated. limited: pending runs that wait for a limit.",
)
@click.option("--queue", default="", metavar="NAME", help="Only runs of this queue.")
@click.option("--task", default="", metavar="NAME", help="Only runs of this task.")
@page_options(50, 1_000)
@click.option(
    "--look-at",
    type=click.IntRange(1, MAX_LOOKED_AT),
    default=MAX_READ,
    show_default=True,
    help="With --queue, --task or one state of two in one list: look at so many runs of each state.",
)
@with_session
def list_command(session: Session, *, states: tuple[str, ...], limit: int, offset: int, **which: Any) -> None:
    """List the runs that have not ended, and the dead letters: dead or timed out.

    With --state succeeded, failed, timed_out or canceled those that ended last: each shard lists the latest 1,000 of
    each state. With --queue or --task the first 1,000 runs of each state are looked at, or so many as --look-at says;
    so they are with scheduled without suspended and dead without timed_out, or the reverse, which are in one list.
    """
    chosen = [state for word in states for state in OLDER_WORDS.get(word, (word,))]
    page = list_runs(session.namespace.shards, RunChoice(chosen or OPEN_STATES, **which), limit, offset)
    onward = {"offset": offset + limit} if page.has_more else None
    answer = ListAnswer("run", page.runs, page.total, offset, page.is_exact, onward)
    if page.is_cut:
        looked = which["look_at"]
        more = f"; --look-at {min(looked * 10, MAX_LOOKED_AT)} looks at more" if looked < MAX_LOOKED_AT else ""
        hint = f"the first {looked:,} of each state were looked at{more}"
        answer = msgspec.structs.replace(answer, hint=hint)
    session.print_list(answer, lambda: _runs_table(page.runs, offset, session.now_ms))


def _runs_table(runs: Sequence[RunSummary], offset: int, now_ms: int) -> RenderableType:
    if not runs:
        return "" if offset else "no such run: every run has ended, or was not among those that were looked at"
    rows = [
        (
            run.id,
            run.task,
            run.queue,
            tables.style_state(run.state),
            tables.format_instant(run.at, now_ms),
            run.attempts,
            run.worker or first_line(run.note),
        )
        for run in runs
    ]
    return tables.table(
        ("run", "task", "queue", "state", "since, due or ended (UTC)", "attempts", "worker or note"), rows
    )


@run_group.command("show")
@click.argument("run_id")
@with_session
def show_command(session: Session, run_id: str) -> None:
    """Show one task run with all its attempts."""
    located = jobs.locate_run(session.namespace.shards, run_id)
    if located is None:
        raise UnknownRun(f"run {run_id} is not on record: it never was, or its retention is over")
    database, run = located
    attempts = records.find_attempts(database, run)
    payload = _cut_payload(find_sent_message(database, run))
    answer = {"run": run, "payload": payload, "attempts": attempts}
    session.print_answer(answer, lambda: _with_hints(session, run, attempts, payload))


@run_group.command("cancel")
@click.argument("run_id")
@click.option("--reason", default=BY_HAND, show_default=True, help="Reason, kept in the record.")
@by_option
@with_session
def cancel_command(session: Session, run_id: str, reason: str, by: str | None) -> None:
    """Cancel a run: a waiting run ends at once, a running one within a second.

    Exit code 1 when it had ended before.
    """
    word = cancel_run(session.namespace, run_id, reason, by or user_name())
    session.print_answer({"run": run_id, "answer": word}, lambda: CANCEL_MESSAGES[word].format(run_id))
    if word == "ended":
        raise click.exceptions.Exit(1)


@run_group.command("retry")
@click.argument("run_id")
@by_option
@with_session
def retry_command(session: Session, run_id: str, by: str | None) -> None:
    """Give the work of a run that failed, timed out, died or was canceled to a new run, with all its attempts.

    Prints the id of the new run; `run show` of either names the other.
    """
    again = retry_run(session.namespace, run_id, by or user_name())
    session.print_answer({"run": again, "retry_of": run_id}, lambda: tables.cell(again))


def _cut_payload(message: Message | None) -> Any:
    """Return the payload that is shown: a text when it is too long, None when none is kept."""
    if message is None:
        return None
    payload = to_text(bytes(message.payload))
    if len(payload) <= MAX_PAYLOAD:
        return message.payload
    return f"{payload[:MAX_PAYLOAD]} … ({len(payload):,} characters)"


def _with_hints(session: Session, run: RunRecord, attempts: list[AttemptRecord], payload: Any) -> RenderableType:
    hints = find_run_hints(session.namespace.shards, run, session.now_ms)
    shown = to_text(bytes(payload)) if isinstance(payload, msgspec.Raw) else payload or ""
    return Group(_details(run, attempts, shown, session.now_ms), *map(tables.cell, hints))


def _details(run: RunRecord, attempts: list[AttemptRecord], payload: str, now_ms: int) -> RenderableType:
    properties = tables.properties(
        (
            ("run", run.id),
            ("task", run.handler),
            ("state", tables.style_state(run.state)),
            ("queue", run.place),
            ("occurrence", run.occurrence),
            ("enqueued (UTC)", tables.format_instant(run.enqueued_at, now_ms)),
            ("due (UTC)", tables.format_instant(run.due_at, now_ms) if run.due_at else ""),
            ("ended (UTC)", tables.format_instant(run.ended_at, now_ms) if run.ended_at else ""),
            ("cancel asked (UTC)", tables.format_instant(run.cancel, now_ms) if run.cancel else ""),
            ("reason", run.cancel_reason),
            ("retry of", run.retry_of),
            ("note", run.news),
            ("attempts", run.attempts_text),
            ("payload", payload),
            ("result", to_text(bytes(run.result)) if bytes(run.result) != b"null" else ""),
            ("error", run.error),
        )
    )
    if not attempts:
        return Group(properties, "no attempt has begun")
    rows = [
        (
            attempt.number + 1,
            tables.style_state(attempt.state),
            attempt.worker,
            tables.format_instant(attempt.started_at, now_ms) if attempt.started_at else "–",
            format_duration(attempt.ended_at - attempt.started_at) if attempt.ended_at and attempt.started_at else "–",
            first_line(attempt.error),
        )
        for attempt in attempts
    ]
    return Group(properties, tables.table(("attempt", "state", "worker", "started (UTC)", "took", "error"), rows))
