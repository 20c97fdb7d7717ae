"""`jobistemer top`: the command."""

from __future__ import annotations

import signal
import sys
import time

import click
from rich.console import Console
from rich.live import Live

from jobistemer.cli.author_option import by_option
from jobistemer.cli.session import Session, with_session
from jobistemer.cli.top.actions import find_action
from jobistemer.cli.top.live_view import REFRESH_S, LiveView
from jobistemer.cli.top.monitor import Monitor
from jobistemer.cli.top.screen import format_cost, render_screen
from jobistemer.runtime.process_info import user_name
from jobistemer.runtime.shutdown import exit_on_signal
from jobistemer.store.server.connection import redact_url
from jobistemer.terminal.keyboard import open_keyboard


@click.command("top")
@click.option(
    "--once", is_flag=True, help="Print one page about one second and end; the default when there is no terminal."
)
@by_option
@with_session
def top_command(session: Session, *, once: bool, by: str | None) -> None:
    """Watch jobs, queues, workers, tickers, running and failed runs, and act on them; q quits, ? shows the keys.

    A number shows one table alone, in which the arrows select a row, `/` filters, `s` sorts by the next column, and
    Enter shows the row in detail, a run with the end of its log. Capital letters act on that row, after a question: P
    pauses or resumes a job or a queue, T triggers a job, R replays a dead letter, X cancels a run, Q lets a worker
    fetch nothing more.

    The screen is refreshed every second. The cost does not depend on the number of records; the last line shows it.
    `in/s` and `out/s` need Redis 7 or newer: older servers do not count the entries taken from a stream.
    """
    namespace = session.namespace
    top = Monitor(f"jobistemer top · {redact_url(namespace.url)} · {namespace.name}", namespace)
    if once or session.as_json or not sys.stdout.isatty():
        time.sleep(REFRESH_S)
        top.show_tables(top.look(None))
        session.print_answer(
            top.to_dict(), lambda: render_screen(top.snapshot, top.rates, top.title, f" {format_cost(top.snapshot)}")
        )
        return
    signal.signal(signal.SIGTERM, exit_on_signal)
    console = Console(highlight=False, markup=False)
    with open_keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        LiveView(top, keys, live, lambda key, target: find_action(namespace, by or user_name(), key, target)).run()
