"""`jobistemer queue`: look at queues, pause and resume them."""

from __future__ import annotations

import click
from rich.console import RenderableType

from jobistemer.cli import tables
from jobistemer.cli.session import Session, operating
from jobistemer.core.listings import QueueSummary
from jobistemer.store import census
from jobistemer.store.listings import delayed_total
from jobistemer.store.queues import pause_queue, resume_queue


@click.group("queue")
def queue_group() -> None:
    """Look at queues, pause and resume them."""


@queue_group.command("list")
@operating
def list_command(session: Session) -> None:
    """List the queues: what waits, what is in flight, what waits for its time."""
    shards = session.namespace.shards
    found, delayed = census.list_queues(shards), delayed_total(shards)
    session.answer({"queues": found, "delayed": delayed}, lambda: _queues_table(found))


@queue_group.command("pause")
@click.argument("queue")
@operating
def pause_command(session: Session, queue: str) -> None:
    """Let no worker fetch from a queue; what is in flight ends, what is enqueued waits."""
    pause_queue(session.namespace.shards, queue)
    said = f"{queue} is paused; workers hear it with their next beat"
    session.answer({"queue": queue, "paused": True}, lambda: tables.cell(said))


@queue_group.command("resume")
@click.argument("queue")
@operating
def resume_command(session: Session, queue: str) -> None:
    """Let workers fetch from a queue again."""
    resume_queue(session.namespace.shards, queue)
    session.answer({"queue": queue, "paused": False}, lambda: tables.cell(f"{queue} is not paused"))


def _queues_table(found: list[QueueSummary]) -> RenderableType:
    if not found:
        return "no queue yet: nothing has been enqueued in this namespace"
    rows = [
        (
            each.name,
            each.waiting,
            each.in_flight,
            each.delayed,
            tables.state("paused" if each.paused else "open"),
            ", ".join(f"{priority}: {waiting}" for priority, waiting in each.priorities.items()),
        )
        for each in found
    ]
    return tables.table(("queue", "waiting", "in flight", "delayed", "state", "waiting by priority"), rows)
