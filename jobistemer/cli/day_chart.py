"""Charts of one simulated day: a strip of blocks for the terminal, an SVG with a line for each job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Final

from jobistemer.core.planning.simulation import QUARTERS, AssumedRun, Simulation
from jobistemer.core.schedules.instants import DAY

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ROW, _LEFT, _WIDTH, _CHART, _TOP = 18, 190, 960, 90, 46
_MAX_NAME_LENGTH, _MIN_BAR_WIDTH = 30, 0.4


def render_strip(simulation: Simulation) -> str:
    """Draw the busiest day as two lines: concurrent runs in each quarter of an hour, and the hours below them."""
    most = max(simulation.by_slot, default=0) or 1
    bars = "".join(_BLOCKS[-(-running * (len(_BLOCKS) - 1) // most)] for running in simulation.by_slot)
    hours = "".join(f"{hour:02d}".ljust(QUARTERS // 24 * 2) for hour in range(0, 24, 2))
    return f"{bars}\n{hours}"


def render_svg(simulation: Simulation) -> str:
    """Draw the busiest day as an SVG: the load, then a line for each job that runs, with a bar for each run."""
    running = {name: spans for name, spans in simulation.spans.items() if spans}
    height, width = _TOP + _CHART + _ROW * len(running) + 30, _LEFT + _WIDTH + 30
    day = datetime.fromtimestamp(simulation.busiest, UTC)
    peak = datetime.fromtimestamp(simulation.peak_at, UTC)
    title = f"{day:%A %Y-%m-%d} UTC: up to {simulation.peak} at a time, first at {peak:%H:%M:%S}"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-size="14">{title}</text>',
        *_render_grid(height),
        *_render_load(simulation),
    ]
    for number, (name, spans) in enumerate(running.items()):
        parts += _render_job(name, spans, simulation.busiest, _TOP + _CHART + _ROW * number + 10)
    return "\n".join([*parts, *_render_clock_changes(simulation, height), "</svg>", ""])


def _render_job(name: str, spans: tuple[AssumedRun, ...], day: int, y: int) -> Iterator[str]:
    """Draw one job: its name and a bar for each run."""
    label = name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…"
    title = f"<title>{escape(name)}</title>"
    yield f'<text x="{_LEFT - 8}" y="{y + 10}" font-size="11" text-anchor="end">{escape(label)}{title}</text>'
    # Every second run goes into a shape of its own: overlaps are visible between shapes only, not within one.
    for turn in (spans[::2], spans[1::2]):
        bars = "".join(_bar_path(each, day, y) for each in turn)
        if bars:
            yield f'<path d="{bars}" fill="#3b7dd8" opacity="0.7"/>'


def _bar_path(span: AssumedRun, day: int, y: int) -> str:
    left = _x(span.start - day)
    wide = max(_MIN_BAR_WIDTH, _x(min(span.end - day, DAY)) - left)
    return f"M{left:.1f} {y}h{wide:.1f}v12h-{wide:.1f}z"


def _render_grid(height: int) -> Iterator[str]:
    for hour in range(0, 25, 2):
        x = _x(hour * 3600)
        yield f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 15}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{_TOP - 12}" font-size="10" text-anchor="middle">{hour:02d}</text>'


def _render_load(simulation: Simulation) -> Iterator[str]:
    """Draw the number of concurrent runs, with its scale."""
    most = max(simulation.by_slot, default=0) or 1
    base, scale, width = _TOP + _CHART - 10, (_CHART - 10) / most, _WIDTH / QUARTERS
    steps = "".join(f"V{base - running * scale:.1f}h{width:.1f}" for running in simulation.by_slot)
    yield f'<path d="M{_LEFT} {base}{steps}V{base}z" fill="#e0a030"/>'
    for running in sorted({0, most // 2, most}):
        y = base - running * scale
        ends = f'x1="{_LEFT - 4}" y1="{y:.1f}" x2="{_LEFT + _WIDTH}" y2="{y:.1f}"'
        yield f'<line {ends} stroke="#bbb" stroke-dasharray="2 4"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" font-size="10" text-anchor="end">{running}</text>'


def _render_clock_changes(simulation: Simulation, height: int) -> Iterator[str]:
    """Draw the instants of this day at which a time zone of the jobs changes its clock."""
    for event in simulation.clock_events:
        second = round(event.change.at.timestamp()) - simulation.busiest
        if 0 <= second < DAY:
            x, label = _x(second), escape(f"{event.timezone}: {event.change}")
            yield f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 15}" stroke="#c03030"/>'
            yield f'<text x="{x + 4:.1f}" y="{height - 6}" font-size="10" fill="#c03030">{label}</text>'


def _x(second: int) -> float:
    return _LEFT + _WIDTH * second / DAY
