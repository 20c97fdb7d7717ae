"""`jobistemer queue`: list queues, pause, resume, drain, open and purge them."""

from __future__ import annotations

import click
from rich.console import RenderableType

from jobistemer.cli.author_option import by_option
from jobistemer.cli.hints import find_hints
from jobistemer.cli.known_names import check_queue, force_option
from jobistemer.cli.list_answers import ListAnswer, list_all
from jobistemer.cli.session import Session, with_session
from jobistemer.control.queues import QueueControl
from jobistemer.core.reads.summaries import QueueSummary
from jobistemer.store.keys import FRONT
from jobistemer.store.reads import queues
from jobistemer.store.reads.jobs import count_delayed
from jobistemer.terminal import tables


@click.group("queue")
def queue_group() -> None:
    """List queues; pause, resume, drain, open and purge them."""


@queue_group.command("list")
@with_session
def list_command(session: Session) -> None:
    """List the queues with their waiting, in-flight and delayed runs."""
    shards = session.namespace.shards
    found, delayed = queues.list_queues(shards), count_delayed(shards)
    answer = list_all("queue", found, delayed=delayed)
    session.print_list(answer, lambda: _with_hints(session, answer, delayed), if_empty=session.describe_place())


@queue_group.command("pause")
@click.argument("queue")
@force_option
@by_option
@with_session
def pause_command(session: Session, *, queue: str, force: bool, by: str | None) -> None:
    """Pause a queue: no worker fetches from it; runs in flight come to their end, new runs wait."""
    check_queue(session, queue, force=force)
    QueueControl(session.namespace, by).pause(queue)
    message = f"{queue} is paused; workers stop fetching from it with their next beat"
    session.print_answer({"queue": queue, "paused": True}, lambda: tables.cell(message))


@queue_group.command("resume")
@click.argument("queue")
@force_option
@by_option
@with_session
def resume_command(session: Session, *, queue: str, force: bool, by: str | None) -> None:
    """Resume a queue: workers fetch from it again."""
    check_queue(session, queue, force=force)
    QueueControl(session.namespace, by).resume(queue)
    session.print_answer({"queue": queue, "paused": False}, lambda: tables.cell(f"{queue} is not paused"))


@queue_group.command("drain")
@click.argument("queue")
@force_option
@by_option
@with_session
def drain_command(session: Session, *, queue: str, force: bool, by: str | None) -> None:
    """Drain a queue: it takes no new runs, and workers finish those that are in it."""
    check_queue(session, queue, force=force)
    QueueControl(session.namespace, by).drain(queue)
    message = f"{queue} takes no new runs; workers finish the runs that are in it"
    session.print_answer({"queue": queue, "draining": True}, lambda: tables.cell(message))


@queue_group.command("open")
@click.argument("queue")
@force_option
@by_option
@with_session
def open_command(session: Session, *, queue: str, force: bool, by: str | None) -> None:
    """Open a queue that is draining: it takes new runs again."""
    check_queue(session, queue, force=force)
    QueueControl(session.namespace, by).open(queue)
    session.print_answer({"queue": queue, "draining": False}, lambda: tables.cell(f"{queue} takes new runs"))


@queue_group.command("purge")
@click.argument("queue")
@click.option("--reason", default="by hand", show_default=True, help="Reason, kept in the records of the runs.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@force_option
@by_option
@with_session
def purge_command(session: Session, *, queue: str, reason: str, yes: bool, force: bool, by: str | None) -> None:
    """Cancel the runs that wait in a queue; runs in flight come to their end."""
    check_queue(session, queue, force=force)
    if not yes:
        click.confirm(f"Cancel everything that waits in {queue}?", abort=True, err=True)
    purged = QueueControl(session.namespace, by).purge(queue, reason)
    session.print_answer({"queue": queue, "purged": purged}, lambda: tables.cell(f"{purged} purged"))


def _with_hints(session: Session, answer: ListAnswer, delayed: int) -> RenderableType:
    waiting = [each.name for each in answer.rows if each.waiting and not each.paused]
    hints = find_hints(session.namespace.shards, waiting, delayed=bool(delayed), now_ms=session.now_ms)
    return tables.stack(_queues_table(answer), *map(tables.cell, hints))


def _queues_table(answer: ListAnswer) -> RenderableType:
    if not answer.rows:
        return "no queue yet: nothing has been enqueued in this namespace"
    rows = [
        (
            each.name,
            each.waiting,
            each.in_flight,
            f"{'' if each.delayed_is_exact else '≥ '}{each.delayed}",
            tables.style_state(_state(each)),
            ", ".join(f"{_format_priority(priority)}: {waiting}" for priority, waiting in each.priorities.items()),
            ", ".join(
                f"{limit}: {'' if each.limited_is_exact else '≥ '}{waiting}" for limit, waiting in each.limited.items()
            ),
        )
        for each in answer.rows
    ]
    heads = ("queue", "waiting", "in flight", "delayed", "state", "waiting by priority", "waiting for limits")
    return tables.table(heads, rows)


def _state(queue: QueueSummary) -> str:
    if queue.paused:
        return "paused"
    return "draining" if queue.draining else "open"


def _format_priority(priority: int) -> str:
    return "let in" if priority == FRONT else str(priority)
