"""`jobistemer worker` and `jobistemer ticker`: list the processes, and send a command to a worker."""

from __future__ import annotations

import click
from rich.console import RenderableType

from jobistemer.cli.author_option import by_option
from jobistemer.cli.list_answers import list_all
from jobistemer.cli.session import Session, with_session
from jobistemer.control.queues import send_worker_command
from jobistemer.core.reads.summaries import TickerSummary, WorkerSummary
from jobistemer.core.text import format_duration
from jobistemer.store.reads import queues
from jobistemer.terminal import tables


class _ProcessGroup(click.Group):
    """A group that is taken for the program of nearly the same name: `jobistemer worker` for `jobistemer-worker`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name. Raises UsageError, with the program that starts a process."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            program = f"jobistemer-{self.name}"
            raise click.UsageError(f"{error.message} To start a {self.name}: `{program} {args[0]}`.", ctx) from error


@click.group("worker", cls=_ProcessGroup)
def worker_group() -> None:
    """List, quiet and stop workers; `jobistemer-worker` starts one."""


@worker_group.command("list")
@with_session
def list_workers_command(session: Session) -> None:
    """List the workers with their last heartbeat."""
    found = queues.list_workers(session.namespace.shards)
    answer, place = list_all("worker", found), session.describe_place()
    session.print_list(answer, lambda: _workers_table(found, session.now_ms), if_empty=place)


@worker_group.command("quiet")
@click.argument("worker")
@by_option
@with_session
def quiet_command(session: Session, worker: str, by: str | None) -> None:
    """Let a worker fetch no more runs; those it has in flight come to their end."""
    _send_command(session, worker, "quiet", by)


@worker_group.command("stop")
@click.argument("worker")
@by_option
@with_session
def stop_command(session: Session, worker: str, by: str | None) -> None:
    """Stop a worker in order, as SIGTERM does."""
    _send_command(session, worker, "stop", by)


@click.group("ticker", cls=_ProcessGroup)
def ticker_group() -> None:
    """List tickers; `jobistemer-ticker` starts one."""


@ticker_group.command("list")
@with_session
def list_tickers_command(session: Session) -> None:
    """List the tickers with their last heartbeat."""
    found = queues.list_tickers(session.namespace.shards)
    answer, place = list_all("ticker", found), session.describe_place()
    session.print_list(answer, lambda: _tickers_table(found, session.now_ms), if_empty=place)


def _send_command(session: Session, worker: str, command: str, by: str | None) -> None:
    send_worker_command(session.namespace, worker, command, by)
    message = f"{worker} receives the command {command} with its next beat"
    session.print_answer({"worker": worker, "command": command}, lambda: tables.cell(message))


def _workers_table(found: list[WorkerSummary], now_ms: int) -> RenderableType:
    if not found:
        return "no worker runs; start one with `jobistemer-worker`"
    headings = (
        "worker",
        "last beat",
        "queues",
        "in flight",
        "slots",
        "memory",
        "CPU",
        "done",
        "failed",
        "ends refused",
        "stuck threads",
        "runs/s on average",
        "last command",
    )
    rows = [
        (
            each.id,
            tables.format_instant(each.beat_at, now_ms),
            ", ".join(f"{queue}:{weight}" if weight else queue for queue, weight in each.queues.items()),
            each.in_flight,
            each.concurrency,
            "–" if each.memory_mib is None else f"{each.memory_mib:,.0f} MiB",
            "–" if each.cpu_percent is None else f"{each.cpu_percent:.0f} %",
            each.done,
            each.failed,
            each.stale,
            each.leaked,
            "–" if each.average_rate is None else f"{each.average_rate:.1f}",
            each.command or ("quiet" if each.quiet else ""),
        )
        for each in found
    ]
    return tables.table(headings, rows)


def _tickers_table(found: list[TickerSummary], now_ms: int) -> RenderableType:
    if not found:
        return "no ticker runs, so nothing becomes due; start one with `jobistemer-ticker`"
    rows = [
        (
            each.id,
            tables.format_instant(each.beat_at, now_ms),
            each.fired,
            each.prepared,
            format_duration(each.late_ms_recent),
            format_duration(each.late_ms_max),
            f"{each.offset_ms} ms" + (f", {each.held_ms} ms not believed" if each.held_ms else ""),
            each.unaccounted,
        )
        for each in found
    ]
    lateness = ("most late, 5 min", "most late ever")
    heads = ("ticker", "last beat", "fired", "prepared ahead", *lateness, "clock off by", "overdue jobs")
    return tables.table(heads, rows)
