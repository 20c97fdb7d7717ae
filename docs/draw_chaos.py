"""Draw docs/chaos.md from the rows of campaigns in docs/chaos/, so that no figure is written by hand.

python docs/draw_chaos.py
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.chaos.campaign.rows import PUBLISHED, Row, read_rows
from tests.chaos.campaign.stories import STORIES
from tests.chaos.campaign.verdict import VIOLATIONS

PAGE = Path(__file__).parent / "chaos.md"

HEAD = """# Figures under faults

Drawn from the rows of campaigns by `docs/draw_chaos.py`. `make chaos CHAOS="--stories all --seconds 120 --rows docs/chaos/VERSION.jsonl"`
plays one: real tickers, workers and producers on a real server, one fault again and again, and a ledger in SQLite that no fault of the
server reaches. Afterwards the ledger is held against the records of the server.

- *Calls* were acknowledged to a producer, *occurrences* are on record, *executions* are calls of handlers in the ledger.
- *Lost*: an acknowledged call that has not ended, or that succeeded without an effect. *Unaccounted*: a due instant without its one row.
- *Double*: an effect that no lost or interrupted attempt explains. *Unexplained*: an execution beyond the attempts on record.
- *Overlap*, *limit*, *unique*: executions at the same time, against the job's policy, the limit, the unique key. Attempts
  whose worker was declared dead are left out: a worker that was stopped may still execute code ([guarantees](guarantees.md#when-work-runs-twice)).
- *Left over*: keys that would stay for ever. *Recovery*: seconds from the end of a fault until all calls that were open then had had
  their effect; the lease of the workers is 3 s.

All violations count: a story with one is marked.
"""

STORY_HEAD = "## The stories\n\n| story | fault |\n| --- | --- |"
COLUMNS = (
    "| story | faults | calls | occurrences | executions | lost attempts | "
    f"{' | '.join(name.replace('_', ' ') for name in VIOLATIONS)} | recovery s, median (most) |"
)


def page() -> str:
    """The whole page."""
    stories = [f"| {name} | {(story.fault.__doc__ or '').strip()} |" for name, story in STORIES.items()]
    return "\n".join([HEAD, *tables(read_rows(PUBLISHED)), STORY_HEAD, *stories, ""])


def tables(rows: Iterable[Row]) -> list[str]:
    """One section for each version and server, the newest rows last."""
    sections: dict[str, list[Row]] = {}
    for row in rows:
        sections.setdefault(f"## {row.version} on {row.server}", []).append(row)
    lines: list[str] = []
    for title, found in sections.items():
        first = found[0]
        lines += [title, "", f"Python {first.python}, from {first.at[:10]}, commit {first.commit}.", "", COLUMNS]
        lines += ["| --- " + "| ---: " * (COLUMNS.count("|") - 2) + "|", *map(line, found), ""]
    return lines


def line(row: Row) -> str:
    """One story as a line of the table."""
    told, times = row.verdict, row.recovery_s
    counted = (row.faults, told.acknowledged, told.occurrences, told.executions, told.lost_attempts)
    figures = [f"{each:,}" for each in counted] + [str(getattr(told, name)) for name in VIOLATIONS]
    recovery = f"{statistics.median(times):.1f} ({max(times):.1f})" if times else "–"
    return f"| {row.story}{'' if row.is_right else ' **(wrong)**'} | {' | '.join(figures)} | {recovery} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
