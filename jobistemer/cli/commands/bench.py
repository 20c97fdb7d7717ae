"""`jobistemer bench`: measure this machine and a server."""

from __future__ import annotations

import signal
import sys
from threading import Event

import click

from jobistemer.bench.namespace import reserve_namespace
from jobistemer.bench.report import render_report
from jobistemer.bench.results import BenchReport
from jobistemer.bench.runner import BenchOptions, run_benchmark
from jobistemer.cli.session import check_namespace, checked_by, json_option, one_line_errors, print_json
from jobistemer.core.errors import Misconfigured
from jobistemer.dev.processes import ProcessGroup
from jobistemer.runtime.shutdown import exit_on_signal
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.urls import check_url
from jobistemer.terminal.tables import print_renderable


@click.command("bench")
@click.option("--url", callback=checked_by(check_url), help="Measure this server; by default an embedded one.")
@click.option(
    "--namespace",
    callback=checked_by(check_namespace),
    default="jobistemer-bench",
    show_default=True,
    help="Namespace of the measurement; it must be empty before, and is empty again afterwards.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Shards of the namespace; on a cluster they are on different nodes.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=20.0,
    show_default=True,
    help="Approximate duration of the measurement.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 5_000),
    default=500,
    show_default=True,
    help="Runs per second at which the latency is measured.",
)
@click.option("--clear", is_flag=True, help="First delete what a killed measurement has left in the namespace.")
@json_option
@one_line_errors
def bench_command(
    *, url: str | None, namespace: str, shards: int, seconds: float, rate: int, clear: bool, as_json: bool
) -> None:
    """Measure this machine and a server: enqueueing, draining, latency, due instants.

    All data is in a namespace of its own, which is emptied at the end, also after Ctrl-C. The measurement keeps the
    server as busy as possible: do not run it on a server that others are using.
    """
    if url and url.startswith("fake:"):
        raise Misconfigured(f"--url {url}: a fake server exists in one process only, so the workers cannot reach it")
    signal.signal(signal.SIGTERM, exit_on_signal)
    processes = ProcessGroup(on_line=_print_line, on_event=_print_line)
    try:
        opened = Namespace(url or processes.start_server(), namespace, shards)
        report = _run(opened, BenchOptions(seconds, rate), clear=clear)
    finally:
        processes.end(Event())
    if as_json:
        print_json(report)
    else:
        print_renderable(render_report(report))


def _run(namespace: Namespace, options: BenchOptions, *, clear: bool) -> BenchReport:
    with reserve_namespace(namespace, clear_first=clear):
        report = run_benchmark(
            namespace.url, namespace.name, options, lambda what: _print_progress(f"measuring: {what} …")
        )
        _print_progress("emptying the namespace …")
    _print_progress("")
    return report


def _print_progress(line: str) -> None:
    """Show the progress in one line of a terminal; each call overwrites the line before."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)


def _print_line(*line: str) -> None:
    click.echo(" ".join(line), err=True)
