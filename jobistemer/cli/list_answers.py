"""The answers of commands that list something: with how many there are in all, and how to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jobistemer.core.text import pluralize


class ListAnswer(msgspec.Struct, frozen=True):
    """A part of a list.

    noun: what one row is, such as `job`. total: how many there are in all; without `is_exact` there are at least so
    many. offset: how many stand before the rows. next: the options that show what follows, None when nothing does.
    besides: fields that the JSON has beside the rows. hint: the remedy when not all were looked at.
    """

    noun: str
    rows: Sequence[Any]
    total: int
    offset: int = 0
    is_exact: bool = True
    next: Mapping[str, Any] | None = None
    besides: Mapping[str, Any] = {}
    hint: str = ""

    @property
    def is_told(self) -> bool:
        """True when the table needs a line about its numbers: an empty list says so itself."""
        return bool(self.rows or self.total or self.offset or self.hint)

    def to_json(self) -> dict[str, Any]:
        """Return the value that `--json` prints: the rows under the plural of the noun, and the numbers."""
        numbers = {"total": self.total, "total_is_exact": self.is_exact, "next": self.next}
        return {f"{self.noun}s".replace(" ", "_"): self.rows, **self.besides, **numbers}

    def describe(self) -> str:
        """Return the line below the table: how many there are, which of them are shown, and how to go on."""
        least = "" if self.is_exact else "≥ "
        shown, last = len(self.rows), self.offset + len(self.rows)
        if not shown and self.offset:
            line = f"nothing after {self.offset:,}: there are {least}{pluralize(self.total, self.noun)}"
        elif shown == self.total:
            line = f"{least}{pluralize(self.total, self.noun)}"
        else:
            line = f"{self.offset + 1:,}–{last:,} of {least}{pluralize(self.total, self.noun)}"
        if self.next:
            line += "; go on with " + " ".join(f"--{name} {value}" for name, value in self.next.items())
        return line + (f"; {self.hint}" if self.hint else "")


def list_all(noun: str, rows: Sequence[Any], **besides: Any) -> ListAnswer:
    """Build the answer of a list that is always shown whole."""
    return ListAnswer(noun, rows, len(rows), besides=besides)


def list_page(noun: str, rows: Sequence[Any], offset: int, total: int) -> ListAnswer:
    """Build the answer of a page from an offset on. total: how many rows there are in all."""
    # Some may have come or gone between the two reads.
    last = offset + len(rows)
    return ListAnswer(noun, rows, max(total, last), offset, next={"offset": last} if rows and last < total else None)


def list_found(noun: str, rows: Sequence[Any], offset: int, limit: int) -> ListAnswer:
    """Build the answer of a page of a search, which was ended one row after the page. rows: `limit` + 1 at most."""
    page, last = rows[:limit], offset + len(rows)
    # Behind the end nobody knows how many stand before it.
    is_exact = len(rows) <= limit and (bool(rows) or not offset)
    total = last if rows or not offset else 0
    return ListAnswer(noun, page, total, offset, is_exact, {"offset": offset + limit} if len(rows) > limit else None)
