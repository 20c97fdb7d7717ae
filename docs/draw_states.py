"""Draw docs/reference/states.md from the tables in jobistemer/core/states.py, so that the page cannot go stale.

python docs/draw_states.py
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from jobistemer.core import states

PAGE = Path(__file__).parent / "reference" / "states.md"

HEAD = """# States

Drawn from the tables in `jobistemer/core/states.py` by `docs/draw_states.py`; a test holds the scripts against the same
tables. A terminal state never changes.
"""

WORDS = {
    "Occurrence": "One due instant of a job. It waits in `queued` when an earlier one is live and the overlap policy "
    "says so.",
    "Task run": "One task of an occurrence, or one enqueued call. A run in flight is an entry in a pending list; its "
    "record says `running` from the first heartbeat on, so short runs go from `pending` to their end. "
    "A run is `timed_out` when its last attempt was over its time (`time_out`; such a run is a dead letter too), or when the "
    "deadline of its occurrence ended it (`deadline`). `dead` is every other run that is out of attempts.",
    "Attempt": "One try of a run. Short ones are written once, at their end.",
}


def page() -> str:
    """The whole page."""
    tables: dict[str, tuple[Mapping[tuple[StrEnum | None, str], StrEnum], frozenset[StrEnum]]] = {
        "Occurrence": (states.OCCURRENCE_TRANSITIONS, states.TERMINAL_OCCURRENCES),
        "Task run": (states.RUN_TRANSITIONS, states.TERMINAL_RUNS),
        "Attempt": (states.ATTEMPT_TRANSITIONS, states.TERMINAL_ATTEMPTS),
    }
    parts = [section(name, *table) for name, table in tables.items()]
    return "\n".join([HEAD, *parts])


def section(name: str, table: Mapping[tuple[StrEnum | None, str], StrEnum], terminal: frozenset[StrEnum]) -> str:
    """One diagram with its words."""
    arrows = [f"    {start or '[*]'} --> {end}: {event}" for (start, event), end in table.items()]
    ends = [f"    {state} --> [*]" for state in sorted(terminal)]
    return "\n".join([f"## {name}", "", WORDS[name], "", "```mermaid", "stateDiagram-v2", *arrows, *ends, "```", ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
