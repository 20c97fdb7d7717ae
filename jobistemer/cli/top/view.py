"""What `jobistemer top` shows, and how keys change it."""

from __future__ import annotations

from typing import Final, NamedTuple

from jobistemer.cli.top.parts import NAMES, Part, Target
from jobistemer.terminal.keyboard import DOWN, ESCAPE, UP

_DOWN: Final = ("j", DOWN)
_UP: Final = ("k", UP)
ENTER: Final = ("\r", "\n")
_BACK: Final = ("\x7f", "\b")
MAX_FILTER: Final = 60


class View(NamedTuple):
    """What is shown: 0 for all tables, else the number of the one that is shown alone.

    selected: the row that keys are about, in a table alone. filter: only rows that contain this text are shown.
    types: keys are written into the filter. sort: the number of the column that the rows are sorted by, 0 for none;
    numbers and times go down, texts up.
    """

    number: int = 0
    selected: int = 0
    filter: str = ""
    types: bool = False
    sort: int = 0

    def press(self, key: str) -> View:
        """Return the view after a key."""
        if self.types:
            return self._type(key)
        if key == "/":
            return self._replace(types=True, selected=0)
        if key == ESCAPE:
            return self._replace(filter="")
        if key.isdecimal() and key.isascii() and int(key) <= len(NAMES):
            return View(int(key), filter=self.filter)
        if key == "\t":
            return View((self.number + 1) % (len(NAMES) + 1), filter=self.filter)
        if key == "s":
            return self._replace(number=self.number or 1, sort=self.sort + 1, selected=0)
        if key in (*_DOWN, *_UP):
            step = 1 if key in _DOWN else -1
            return self._replace(number=self.number or 1, selected=max(0, self.selected + step))
        return self

    def choose(self, parts: list[Part]) -> list[Part]:
        """Return the tables that are shown."""
        if not self.number:
            return [part.filtered(self.filter) for part in parts]
        part = parts[self.number - 1].filtered(self.filter)
        # After the last column the rows are in their own order again.
        return [part.sorted_by(self.sort % (len(part.headings) + 1))]

    def find_target(self, parts: list[Part]) -> Target | None:
        """Return the thing that keys are about; None where no row is selected."""
        rows = self.choose(parts)[0].rows if self.number else []
        return rows[min(self.selected, len(rows) - 1)].target if rows else None

    def _type(self, key: str) -> View:
        if key == ESCAPE:
            return self._replace(filter="", types=False)
        if key in ENTER:
            return self._replace(types=False)
        if key in _BACK:
            return self._replace(filter=self.filter[:-1])
        return self._replace(filter=(self.filter + key)[:MAX_FILTER]) if len(key) == 1 and key.isprintable() else self


ALL: Final = View()
