"""Pictures of a day: a strip of blocks for the terminal, an SVG with a line for each job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Final

from jobistemer.core.schedules.instants import DAY
from jobistemer.core.simulation import SLOTS, Simulation, Span

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ROW, _LEFT, _WIDTH, _CHART, _TOP = 18, 190, 960, 90, 46


def strip(simulation: Simulation) -> str:
    """The day with the peak in two lines: how many run at a time in each quarter of an hour, and the hours."""
    most = max(simulation.by_slot, default=0) or 1
    bars = "".join(_BLOCKS[-(-running * (len(_BLOCKS) - 1) // most)] for running in simulation.by_slot)
    hours = "".join(f"{hour:02d}".ljust(SLOTS // 24 * 2) for hour in range(0, 24, 2))
    return f"{bars}\n{hours}"


def svg(simulation: Simulation) -> str:
    """The day with the peak: below the load, a line for each job that runs, a bar for each run."""
    running = {name: spans for name, spans in simulation.spans.items() if spans}
    height, width = _TOP + _CHART + _ROW * len(running) + 30, _LEFT + _WIDTH + 20
    day = datetime.fromtimestamp(simulation.busiest, UTC)
    title = f"{day:%A %Y-%m-%d} UTC: up to {simulation.peak} at a time"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-size="14">{title}</text>',
        *_grid(height),
        *_load(simulation),
    ]
    for number, (name, spans) in enumerate(running.items()):
        parts += _line(name, spans, simulation.busiest, _TOP + _CHART + _ROW * number + 10)
    return "\n".join([*parts, "</svg>", ""])


def _line(name: str, spans: tuple[Span, ...], day: int, y: int) -> Iterator[str]:
    """One job: its name and a bar for each run."""
    shown = escape(name[:30])
    yield f'<text x="{_LEFT - 8}" y="{y + 10}" font-size="11" text-anchor="end">{shown}</text>'
    for each in spans:
        wide = max(1.0, _x(min(each.end - day, DAY)) - _x(each.start - day))
        bar = f'x="{_x(each.start - day):.1f}" y="{y}" width="{wide:.1f}" height="12"'
        yield f'<rect {bar} fill="#3b7dd8" opacity="0.75"/>'


def _grid(height: int) -> Iterator[str]:
    for hour in range(0, 25, 2):
        x = _x(hour * 3600)
        yield f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 15}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{_TOP - 12}" font-size="10" text-anchor="middle">{hour:02d}</text>'


def _load(simulation: Simulation) -> Iterator[str]:
    most = max(simulation.by_slot, default=0) or 1
    width = _WIDTH / SLOTS
    for slot, running in enumerate(simulation.by_slot):
        tall = (_CHART - 10) * running / most
        x, y = _LEFT + slot * width, _TOP + _CHART - 10 - tall
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="#e0a030"/>'


def _x(second: int) -> float:
    return _LEFT + _WIDTH * second / DAY
