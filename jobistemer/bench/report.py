"""The figures of a measurement as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobistemer.bench.results import BenchReport, Lateness, Throughput
from jobistemer.terminal import tables

LEGEND = (
    "CPU µs are of one core and for each run: client enqueues, worker executes with -c 8, both one process. Every run",
    "has its full records. Latency is from before the call to the first line of the handler. A due instant is late",
    "when its run is on its queue late, by the server's time.",
)


def render_report(report: BenchReport) -> RenderableType:
    """Return machine, server, warnings and all figures, one below the other."""
    return Group(
        tables.properties((("machine", _format_machine(report.machine)), ("server", _format_server(report.server)))),
        *(Text(f"warning: {each}", style="yellow") for each in report.warnings),
        Text(),
        _table(("", "runs/s", "client µs", "worker µs", "server µs", "runs"), map(_throughput_row, report.throughput)),
        Text(),
        _table(("", "p50 ms", "p99 ms", "max ms", "seen", "ticker µs", "server µs"), map(_lateness_row, report.delays)),
        Text(),
        tables.multiline(f"{report.took_s:g} s in all. {' '.join(LEGEND)}"),
    )


def _format_machine(info: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {info[name]}" for name in ("jobistemer", "redis-py", "hiredis") if info[name])
    cores = f"{info['cores']} core{'s' if info['cores'] != 1 else ''}, load {info['load']:g}"
    return f"{info['processor']}, {cores}, {info['system']}, Python {info['python']}, {versions}"


def _format_server(info: dict[str, Any]) -> str:
    trip = f"round trip {info['round_trip_p50_ms']:g} ms (p99 {info['round_trip_p99_ms']:g})"
    appends = "appendonly yes" if info["appendonly"] else "appendonly no"
    parts = (f"{info['server']} {info['version']}".strip(), str(info["mode"]), appends, trip)
    return f"{info['url']}: {', '.join(filter(None, parts))}"


def _table(headings: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Table:
    result = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        result.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        result.add_row(*(Text(each) for each in row))
    return result


def _throughput_row(each: Throughput) -> tuple[str, ...]:
    costs = (_format_number(cost, 1) for cost in (each.client_us, each.worker_us, each.server_us))
    return (each.work, _format_number(each.runs_per_s, 0), *costs, _format_number(each.runs, 0))


def _lateness_row(each: Lateness) -> tuple[str, ...]:
    cuts = (_format_number(cut, 2) for cut in (each.p50_ms, each.p99_ms, each.max_ms))
    seen = f"{each.seen:,} of {each.expected:,}"
    return (each.work, *cuts, seen, _format_number(each.ticker_us, 1), _format_number(each.server_us, 1))


def _format_number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
