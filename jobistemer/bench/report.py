"""The figures for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobistemer.bench.results import Delay, Report, Throughput
from jobistemer.terminal import tables

MEANT = (
    "CPU µs are of one core and for each run: client enqueues, worker executes with -c 8, both one process. Every run",
    "has its full records. Latency is from before the call to the first line of the handler. A due instant is late",
    "when its run is on its queue late, by the server's time.",
)


def paper(report: Report) -> RenderableType:
    """Everything, below one another."""
    return Group(
        tables.properties((("machine", _machine(report.machine)), ("server", _server(report.server)))),
        *(Text(f"warning: {each}", style="yellow") for each in report.warnings),
        Text(),
        _table(("", "runs/s", "client µs", "worker µs", "server µs", "runs"), map(_throughput, report.throughput)),
        Text(),
        _table(("", "p50 ms", "p99 ms", "max ms", "seen", "ticker µs", "server µs"), map(_delay, report.delays)),
        Text(),
        tables.lines(f"{report.took_s:g} s in all. {' '.join(MEANT)}"),
    )


def _machine(told: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {told[name]}" for name in ("jobistemer", "redis-py", "hiredis") if told[name])
    cores = f"{told['cores']} core{'s' if told['cores'] != 1 else ''}, load {told['load']:g}"
    return f"{told['processor']}, {cores}, {told['system']}, Python {told['python']}, {versions}"


def _server(told: dict[str, Any]) -> str:
    trip = f"round trip {told['round_trip_p50_ms']:g} ms (p99 {told['round_trip_p99_ms']:g})"
    appends = "appendonly yes" if told["appendonly"] else "appendonly no"
    parts = (f"{told['server']} {told['version']}".strip(), str(told["mode"]), appends, trip)
    return f"{told['url']}: {', '.join(filter(None, parts))}"


def _table(headings: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Table:
    result = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        result.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        result.add_row(*(Text(each) for each in row))
    return result


def _throughput(each: Throughput) -> tuple[str, ...]:
    costs = (_figure(cost, 1) for cost in (each.client_us, each.worker_us, each.server_us))
    return (each.work, _figure(each.runs_per_s, 0), *costs, _figure(each.runs, 0))


def _delay(each: Delay) -> tuple[str, ...]:
    cuts = (_figure(cut, 2) for cut in (each.p50_ms, each.p99_ms, each.max_ms))
    seen = f"{each.seen:,} of {each.expected:,}"
    return (each.work, *cuts, seen, _figure(each.ticker_us, 1), _figure(each.server_us, 1))


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
