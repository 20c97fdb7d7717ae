"""Makes docs/benchmarks.md from stored results: `python -m benchmarks.peers.page [RESULTS]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.comparison import render_verdict
from benchmarks.peers.page_text import AFTERWORD, FOREWORD
from benchmarks.peers.paths import REPOSITORY, RESULTS
from benchmarks.peers.results import Key, Results, Spread, find_failures, summarize

PAGE = REPOSITORY / "docs" / "benchmarks.md"
Column = tuple[str, str, int]
"""(heading, figure, decimals)"""

DRAIN: Sequence[Column] = (
    ("runs/s", "runs/s", 0),
    ("worker µs/run", "worker us", 0),
    ("server µs/run", "server us", 0),
)
ENQUEUE: Sequence[Column] = (
    ("runs/s", "runs/s", 0),
    ("producer µs/run", "producer us", 0),
    ("server µs/run", "server us", 0),
)
LATENCY: Sequence[Column] = (
    ("p50 ms", "p50 ms", 2),
    ("p99 ms", "p99 ms", 2),
    ("worker µs/run", "worker us", 0),
    ("started", "started", 2),
)
DUE: Sequence[Column] = (
    ("fired %", "fired %", 1),
    ("started %", "started %", 1),
    ("p50 ms late", "p50 ms", 1),
    ("p99 ms late", "p99 ms", 1),
    ("CPU % of a core", "cpu %", 0),
    ("server CPU %", "server cpu %", 0),
    ("register s", "register s", 1),
    ("start to first run s", "start-up s", 1),
)
NOT_DUE: Sequence[Column] = (
    ("CPU % of a core", "cpu %", 2),
    ("server CPU %", "server cpu %", 2),
    ("commands/s, in scripts too", "commands/s", 1),
    ("bytes each in the server", "bytes each", 0),
    ("register s", "register s", 1),
    ("CPU s to start", "start-up cpu s", 1),
)
SECTIONS: Sequence[tuple[str, str, str, Sequence[Column], str]] = (
    ("Drain a backlog: plain functions", "drain plain", "two cores", DRAIN, "One worker process; no-op tasks."),
    ("Drain a backlog: coroutines", "drain coroutine", "two cores", DRAIN, "One worker process; no-op tasks."),
    (
        "On one core: plain functions",
        "drain plain",
        "one core",
        DRAIN,
        "Server and worker share it. Peers without coroutines.",
    ),
    ("On one core: coroutines", "drain coroutine", "one core", DRAIN, "Server and worker share it."),
    (
        "Tasks that sleep for a millisecond",
        "drain 1 ms",
        "two cores",
        DRAIN,
        "The number of concurrent tasks decides: jobistemer has 8 slots.",
    ),
    (
        "Two worker processes",
        "drain two processes",
        "free",
        DRAIN,
        "Not pinned: two processes and the server share two cores.",
    ),
    (
        "Enqueue one by one",
        "enqueue",
        "two cores",
        ENQUEUE,
        "One producer, one connection, each stored before the next.",
    ),
    (
        "Enqueue in bulk",
        "enqueue bulk",
        "two cores",
        ENQUEUE,
        "With the peer's own bulk call; peers without one have no row.",
    ),
    (
        "Latency, idle",
        "latency idle",
        "two cores",
        LATENCY,
        "From before the enqueue to the first line of the task, 50 a second.",
    ),
    (
        "Latency at 500 runs/s",
        "latency 500/s",
        "two cores",
        LATENCY,
        "The same at 500 a second; runs of a peer that cannot keep up wait in its queue.",
    ),
    ("100 schedules due every second", "schedules 100", "free", DUE, ""),
    ("1,000 schedules due every second", "schedules 1000", "free", DUE, ""),
    ("10,000 schedules due every second", "schedules 10000", "free", DUE, "Only peers that came near with 1,000."),
    ("10,000 schedules, none of them due", "not due 10000", "free", NOT_DUE, ""),
    ("1,000,000 schedules, none of them due", "not due 1000000", "free", NOT_DUE, ""),
)


def render_page(results: Results) -> str:
    """The whole page, as it stands in the repository."""
    sums, failed = summarize(results.rows), find_failures(results.rows)
    parts = [FOREWORD.strip(), _machine(results)]
    if judged := render_verdict(sums):
        parts.append(judged)
    for title, work, placement, columns, note in SECTIONS:
        if rows := _rows(work, placement, columns, sums, failed):
            parts.append("\n\n".join(each for each in (f"## {title}", note, rows) if each))
    parts += [_memory(sums), _settings(results), _guarantees(), AFTERWORD.strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def format_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def format_spread(spread: Spread | None, decimals: int) -> str:
    """Median, and from least to most where rounds differ in what is shown."""
    if spread is None:
        return "–"
    middle, least, most = (f"{value:,.{decimals}f}" for value in (spread.median, spread.least, spread.most))
    return middle if least == most else f"{middle} ({least}–{most})"


def _rows(
    work: str,
    placement: str,
    columns: Sequence[Column],
    sums: dict[Key, dict[str, Spread]],
    failed: dict[Key, str],
) -> str:
    known = [key for key in (*sums, *failed) if (key.work, key.placement) == (work, placement)]
    first = columns[0][1]
    best_first = 1 if first.startswith(("p50", "cpu")) else -1

    def rank(key: Key) -> float:
        spread = sums.get(key, {}).get(first)
        return float("inf") if spread is None else best_first * spread.median

    known.sort(key=rank)
    rows = []
    for key in known:
        name = f"**{key.peer}**" if key.peer == "jobistemer" else key.peer
        if key in sums:
            rows.append(
                [name, key.setting, *(format_spread(sums[key].get(figure), digits) for _, figure, digits in columns)]
            )
        else:
            rows.append([name, key.setting, f"failed: {failed[key].replace('|', '/')}", *[""] * (len(columns) - 1)])
    return format_table(["", "settings", *(heading for heading, _, _ in columns)], rows) if rows else ""


def _memory(sums: dict[Key, dict[str, Spread]]) -> str:
    rows = []
    for peer in PEERS:
        waiting = sums.get(Key("enqueue", peer.name, "default", "two cores"), {}).get("bytes waiting")
        task = peer.tasks[-1] if peer.tasks else ""
        done = sums.get(Key(f"drain {task}", peer.name, "default", "two cores"), {}).get("bytes finished")
        if waiting or done:
            rows.append([peer.name, format_spread(waiting, 0), format_spread(done, 0)])
    note = (
        "Growth of `used_memory` for each run, with defaults. Finished runs are measured right after the drain, so the "
        "figure depends on the records that a peer keeps and for how long. With a short backlog it includes the worker's own keys."
    )
    return (
        f"## Memory\n\n{note}\n\n{format_table(['', 'bytes a waiting run', 'bytes a finished run'], rows)}"
        if rows
        else ""
    )


def _machine(results: Results) -> str:
    about = results.machine
    rounds = max((row.round for row in results.rows), default=0) + 1
    provisional = "**Provisional**: fewer than three rounds. " if rounds < 3 else ""
    return provisional + (
        f"Measured on {about.get('day')}: {about.get('processor')}, {about.get('cores')} cores, Linux {about.get('kernel')}, "
        f"Python {about.get('python')}, Node {about.get('node') or '–'}, {about.get('server')} without persistence on the "
        f"same machine. Rounds: {rounds}. Load of the machine when it began: {about.get('load before')}."
    )


def _settings(results: Results) -> str:
    versions = results.machine.get("versions", {})
    rows = []
    for peer in PEERS:
        tuning = "<br>".join(f"{setting}: {why}" for setting, why in peer.tuning) or "no tuning"
        rows.append([peer.name, versions.get(peer.name, "–"), peer.defaults, tuning])
    return "## Versions and settings\n\n" + format_table(
        ["", "version", "default", "tuned: settings and reasons"], rows
    )


def _guarantees() -> str:
    rows = [
        [peer.name, peer.guarantee["delivery"], peer.guarantee["results"], peer.guarantee["audit"]] for peer in PEERS
    ]
    return "## Guarantees of each\n\n" + format_table(["", "a run whose worker dies", "results", "records"], rows)


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    results = Results(source)
    if not results.rows:
        sys.exit(f"{source.name} has no rows: nothing was measured into it")
    PAGE.write_text(render_page(results))
    print(f"{PAGE.name} is made from {source.name}")
