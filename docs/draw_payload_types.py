"""Draw docs/reference/payload-types.md: each type is sent through each place, and the table says what came out.

python docs/draw_payload_types.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.payload_types import PLACES, ROWS, Row, outcome

PAGE = Path(__file__).parent / "reference" / "payload-types.md"

HEAD = """# Types of payloads and results

Drawn by `docs/draw_payload_types.py`, which sends a value of each row through each place. Each value comes out as it went in, or the call or
the return is refused by an `InvalidPayload` that names the path and the remedy.

- **kept**: the value comes back as it was, with its class, its parts and its offset from UTC.
- **read as it**: the value comes back as the annotated type reads it: equal, or what its JSON form stands for. Without an annotation, as the equal
  value of the class that JSON knows.
- **refused**: the call raises, or the run that returned it is dead.
- **not declared**: the task is refused where it is declared (`InvalidDefinition`).

*Field* is a field of a dataclass, *container* an item of a list and a value of a dict. *Any* is a parameter or a result annotated `Any`, or
not annotated, and a list in it.
"""

COLUMNS = {
    "parameter": ("parameter",),
    "result": ("result",),
    "field": ("field",),
    "container": ("list item", "dict value"),
    "Any": ("`Any` parameter", "`Any` result", "in an `Any` list"),
}


def page() -> str:
    """The whole page."""
    if sorted(PLACES) != sorted(place for places in COLUMNS.values() for place in places):
        raise ValueError("a place has no column")
    lines = ["| type and value | " + " | ".join(COLUMNS) + " |", "| --- |" + " --- |" * len(COLUMNS)]
    lines += [
        f"| {escape(row.words)} | " + " | ".join(cell(row, places) for places in COLUMNS.values()) + " |"
        for row in ROWS
    ]
    return HEAD + "\n" + "\n".join(lines) + "\n"


def escape(words: str) -> str:
    """The words of a row where a bar would end the cell."""
    return words.replace("|", "\\|")


def cell(row: Row, places: tuple[str, ...]) -> str:
    """The word of a row for places that have to agree."""
    (word,) = {outcome(row, place) for place in places}
    return word


if __name__ == "__main__":
    PAGE.write_text(page())
