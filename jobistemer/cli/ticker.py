"""`jobistemer-ticker`: decide what is due and fire it."""

from __future__ import annotations

from typing import Any

import click

from jobistemer.cli.process import ENVIRONMENT, prepare_process, process_options
from jobistemer.cli.project import open_namespace
from jobistemer.cli.session import one_line_errors, with_server
from jobistemer.core.settings import TickerSettings
from jobistemer.ticker import Ticker


@click.command("jobistemer-ticker", context_settings=ENVIRONMENT)
@with_server
@process_options
@one_line_errors
def ticker_command(url: str | None, namespace: str | None, **process: Any) -> None:
    """Decide what is due and fire it. Start as many as you like, anywhere; they need no application code."""
    opened = open_namespace(url, namespace)
    stopping = prepare_process(**process)
    Ticker(opened, TickerSettings()).run(stopping)


if __name__ == "__main__":
    ticker_command()
