"""`jobistemer-ticker`: fire the jobs that are due."""

from __future__ import annotations

import click

from jobistemer.app.loading import import_here, load_app, open_namespace
from jobistemer.cli.health_options import has_metrics, serve_health
from jobistemer.cli.process_options import CONTEXT_SETTINGS, ConfiguredCommand, process_options
from jobistemer.cli.session import one_line_errors, with_server
from jobistemer.core.settings import TickerSettings
from jobistemer.runtime.exit import exit_process
from jobistemer.runtime.process import ProcessOptions, prepare_process
from jobistemer.ticker import Ticker
from jobistemer.ticker.metrics import TickerMetrics


@click.command("jobistemer-ticker", cls=ConfiguredCommand, context_settings=CONTEXT_SETTINGS)
@click.argument("app", required=False, metavar="[MODULE:APP]")
@click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Import this module first, which registers custom schedules; may be repeated.",
)
@with_server
@click.option(
    "--max-jump",
    type=click.FloatRange(0),
    default=TickerSettings().max_jump_s,
    show_default=True,
    metavar="SECONDS",
    help="Largest forward jump of the server's clock to accept at once; larger ones have to last first. 0 accepts all.",
)
@process_options
@one_line_errors
def ticker_command(
    *,
    app: str | None,
    modules: tuple[str, ...],
    url: str | None,
    namespace: str | None,
    max_jump: float,
    process: ProcessOptions,
) -> None:
    """Fire the jobs that are due. Several tickers may run at once, on any machine.

    They need no application code, except for custom schedules: those are fired by tickers that import the app, or the
    module that registers them (--import).

    SIGTERM ends it after its current pass, a second SIGTERM at once. Exit codes: 0 ended in order, 1 cannot work,
    2 wrong usage.
    """
    for module in modules:
        import_here(module)
    opened = load_app(app, url, namespace).namespace if app else open_namespace(url, namespace)
    shutdown = prepare_process(process)
    ticker = Ticker(opened, TickerSettings(max_jump_s=max_jump), TickerMetrics() if has_metrics(process) else None)
    serve_health(ticker, opened, process)
    ticker.run(shutdown)
    exit_process(0)


if __name__ == "__main__":
    ticker_command()
