"""`jobistemer dead`: show, replay and purge dead letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Group, RenderableType

from jobistemer.cli.author_option import by_option
from jobistemer.cli.list_answers import list_found, list_page
from jobistemer.cli.session import Session, page_options, with_session
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.core.errors import JobistemerError, NotFound
from jobistemer.core.reads.summaries import DeadRun
from jobistemer.core.safe_text import clean_text, hide_named
from jobistemer.core.text import first_line
from jobistemer.core.unreadable import to_text
from jobistemer.terminal import tables

F = TypeVar("F", bound=Callable[..., Any])


def filter_options(function: F) -> F:
    """Add the options that select dead letters by what they have in common."""
    options = (
        click.option("--handler", default="", metavar="NAME", help="Only runs of this task."),
        click.option("--job", default="", metavar="NAME", help="Only runs of this job."),
        click.option("--error", default="", metavar="TEXT", help="Only runs whose last error contains this text."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def selection_options(function: F) -> F:
    """Add the options that select dead letters without naming their runs."""
    return filter_options(click.option("--all", "every", is_flag=True, help="All dead letters.")(function))


@click.group("dead")
def dead_group() -> None:
    """Show, replay and purge dead letters: runs that failed or timed out and have no attempts left."""


@dead_group.command("list")
@filter_options
@page_options(100, 10_000)
@with_session
def list_command(session: Session, limit: int, offset: int, **which: str) -> None:
    """List the dead letters, the latest first; with a filter, the oldest first."""
    letters = DeadLetters(session.namespace)
    if any(which.values()):
        answer = list_found(
            "dead letter", list(islice(letters.all(**which), offset, offset + limit + 1)), offset, limit
        )
    else:
        answer = list_page("dead letter", letters.page(offset, limit), offset, letters.count())
    session.print_list(answer, lambda: "" if offset and not answer.rows else _dead_table(answer.rows, session.now_ms))


@dead_group.command("show")
@click.argument("run_id")
@with_session
def show_command(session: Session, run_id: str) -> None:
    """Show one dead letter with its payload and its full error."""
    letter = DeadLetters(session.namespace).find(run_id)
    session.print_answer(letter, lambda: _details(letter, session.now_ms))


@dead_group.command("replay")
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@selection_options
@click.option(
    "--payload", metavar="JSON", help="Replace the payload of one run by this JSON object of keyword arguments."
)
@by_option
@with_session
def replay_command(
    session: Session, run_ids: tuple[str, ...], *, payload: str | None, by: str | None, **chosen: Any
) -> None:
    """Enqueue new runs with the payloads of dead ones; the dead runs stay dead and leave the list."""
    letters = DeadLetters(session.namespace, by)
    new_payload = _parse_payload(payload, run_ids)
    replayed: dict[str, str] = {}
    refused: dict[str, str] = {}
    for run_id in _select_runs(letters, run_ids, **chosen):
        try:
            replayed[run_id] = letters.replay(run_id, new_payload)
        except JobistemerError as error:
            refused[run_id] = str(error)
    rows = list(replayed.items())
    session.print_answer(
        {"replayed": replayed, "refused": refused},
        lambda: tables.table(("dead run", "new run"), rows) if rows else tables.cell("0 replayed"),
    )
    for reason in refused.values():
        click.echo(f"Error: {clean_text(reason)}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


@dead_group.command("purge")
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@selection_options
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@by_option
@with_session
def purge_command(session: Session, run_ids: tuple[str, ...], *, yes: bool, by: str | None, **which: Any) -> None:
    """Delete dead letters with their payloads for good."""
    letters = DeadLetters(session.namespace, by)
    chosen = _select_runs(letters, run_ids, **which)
    if chosen and not yes:
        click.confirm(f"Delete {len(chosen):,} dead letters for good?", abort=True, err=True)
    purged = letters.purge(chosen)
    session.print_answer({"purged": purged}, lambda: tables.cell(f"{purged} purged"))
    if run_ids and purged < len(chosen):
        raise NotFound(f"{len(chosen) - purged} of the {len(chosen)} given runs are not dead letters (any more)")


def _select_runs(
    letters: DeadLetters, run_ids: Sequence[str], *, handler: str, job: str, error: str, every: bool
) -> list[str]:
    if bool(run_ids) + bool(handler or job or error) + every != 1:
        raise click.UsageError("select dead letters: by run ids, by --handler, --job and --error, or by --all")
    return list(dict.fromkeys(run_ids)) or [letter.run.id for letter in letters.all(handler, job=job, error=error)]


def _parse_payload(payload: str | None, run_ids: Sequence[str]) -> Any:
    if payload is None:
        return None
    if len(run_ids) != 1:
        raise click.UsageError("--payload is for one dead letter; name its run")
    try:
        return msgspec.json.decode(payload)
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{payload[:80]!r} is not JSON: {error}", param_hint="--payload") from error


def _dead_table(found: Sequence[DeadRun], now_ms: int) -> RenderableType:
    if not found:
        return "no dead letters"
    rows = [
        (
            each.run.id,
            each.message.handler,
            each.run.place,
            tables.style_state(each.run.state),
            each.run.attempts,
            tables.format_instant(each.run.ended_at, now_ms),
            first_line(each.run.error),
        )
        for each in found
    ]
    return tables.table(("run", "task", "queue", "state", "attempts", "died (UTC)", "error"), rows)


def _details(letter: DeadRun, now_ms: int) -> RenderableType:
    run, message = letter.run, letter.message
    slot = f"{message.task_ref.task} of {message.task_ref.occurrence}" if message.task_ref else ""
    properties = tables.properties(
        (
            ("run", run.id),
            ("task", message.handler),
            ("state", tables.style_state(run.state)),
            ("of", slot),
            ("queue", run.place),
            ("attempts", run.attempts),
            ("died (UTC)", tables.format_instant(run.ended_at, now_ms)),
            ("payload", to_text(bytes(message.payload))),
            ("message", "" if letter.raw is None else to_text(letter.raw)),
            ("metadata", ", ".join(f"{key}={value}" for key, value in hide_named(message.metadata).items())),
            ("error", run.error),
        )
    )
    return Group(properties, tables.cell(f"replay it with: jobistemer dead replay {run.id}"))
