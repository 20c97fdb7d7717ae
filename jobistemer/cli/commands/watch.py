"""`jobistemer run watch`: follow a run while it executes: its log lines, its progress, its state."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import click
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from jobistemer.cli.json_answers import encode_json
from jobistemer.cli.session import Session, with_session
from jobistemer.core.errors import UnknownRun
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.safe_text import clean_text, escape_text
from jobistemer.core.states import RunState
from jobistemer.store.reads import jobs
from jobistemer.store.reads.run_watcher import RunUpdate, RunWatcher
from jobistemer.terminal import tables

POLL_S = 0.25
"""Seconds between two reads."""
BAR_WIDTH: Final = 30
_LEVELS: Final = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "red"}


@click.command("watch")
@click.argument("run_id")
@with_session
def watch_command(session: Session, run_id: str) -> None:
    """Follow a run until it ends. Exit code 0 when it succeeded, 1 when it did not."""
    located = jobs.locate_record(session.namespace.shards, run_id)
    if located is None:
        raise UnknownRun(f"run {run_id} is not on record: it never was, or its retention is over")
    watcher = RunWatcher(located[0], run_id)
    if sys.stdout.isatty() and not session.as_json:
        # The progress is one bar that stays at the foot; lines of the log go above it.
        console = Console(highlight=False, markup=False)
        with Live(console=console, auto_refresh=False) as live:
            _follow(watcher, lambda update: show_above(live, update))
    else:
        _follow(watcher, lambda update: _show(session, update))
    if watcher.record is None or watcher.record.state is not RunState.SUCCEEDED:
        error = watcher.record.error if watcher.record is not None else "its retention is over"
        raise click.ClickException(clean_text(f"run {run_id} ended without a result: {error.partition(chr(10))[0]}"))


def _follow(watcher: RunWatcher, show: Callable[[RunUpdate], None]) -> None:
    while True:
        for update in watcher.poll():
            show(update)
        sys.stdout.flush()
        if watcher.is_over:
            return
        time.sleep(POLL_S)


def show_above(live: Live, update: RunUpdate) -> None:
    """Show an update on a terminal: progress in the bar, everything else above it."""
    if update.line is None and update.progress is not None:
        live.update(_draw_bar(update.progress), refresh=True)
        return
    for each in _describe_all(update):
        live.console.print(each)


def _draw_bar(progress: Progress) -> RenderableType:
    text = Text(f"progress {_format_progress(progress)}", style="cyan", no_wrap=True, overflow="ellipsis")
    if not progress.total:
        return text
    bar = ProgressBar(total=progress.total, completed=min(progress.done, progress.total), width=BAR_WIDTH)
    return Columns([bar, text])


def _show(session: Session, update: RunUpdate) -> None:
    if session.as_json:
        click.echo(encode_json(update))
        return
    for each in _describe_all(update):
        tables.print_renderable(each)


def _describe_all(update: RunUpdate) -> Iterator[Text]:
    if update.missed:
        yield Text(f"… {update.missed} lines are no longer kept", style="dim")
    yield _describe(update)


def _describe(update: RunUpdate) -> Text:
    if update.line is not None:
        at = datetime.fromtimestamp(update.line.at / 1000, UTC)
        text = Text(f"{at:%H:%M:%S} {escape_text(update.line.level):8}", style=_LEVELS.get(update.line.level, ""))
        # Further lines are marked: text of a handler must not look like a line of this command.
        rows = tables.multiline(update.line.text).plain.split("\n")
        return text.append(" ").append("\n                  │ ".join(rows))
    if update.progress is not None:
        return Text(f"         progress {_format_progress(update.progress)}", style="cyan")
    return Text(f"attempt {update.attempt + 1}: ", style="bold").append(tables.style_state(update.state))


def _format_progress(progress: Progress) -> str:
    done = f"{progress.done:g}"
    if progress.total:
        done += f" of {progress.total:g} ({progress.done / progress.total:.0%})"
    return f"{done} {escape_text(progress.note)}".rstrip()
