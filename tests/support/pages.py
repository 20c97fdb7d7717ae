"""The command lines that the pages of the documentation show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FRAMEWORKS = ("flask --app shop ", "python manage.py ", "python -m workers.django ")
"""What stands before `jobistemer` where a framework has its commands."""
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`((?:flask --app shop |python manage\.py )?jobistemer(?:-worker|-ticker)?\s[^`]+)`")


class CommandLine(NamedTuple):
    """A command line of a page. output: the lines that the page shows below it. is_whole: it can be typed as it is."""

    page: Path
    text: str
    output: tuple[str, ...] = ()
    is_whole: bool = True

    @property
    def name(self) -> str:
        """Where it stands, and what it is."""
        return f"{self.page.name}: {self.text}"


def read_lines(page: Path) -> Iterator[CommandLine]:
    """Yield the lines of console blocks and of indented code, and the commands that the text names."""
    text = page.read_text(encoding="utf-8")
    for kind, block in _FENCED.findall(text):
        if kind == "console":
            yield from _read_block(page, block)
    rest = _FENCED.sub("", text)
    for line in re.findall(r"^    (\S.*)$", rest, re.MULTILINE):
        yield CommandLine(page, line)
    for span in _SPAN.findall(rest):
        yield CommandLine(page, " ".join(span.split()), is_whole=False)


def _read_block(page: Path, block: str) -> Iterator[CommandLine]:
    command, output = "", []
    for line in block.replace("\\\n", "").splitlines():
        if line.startswith(("$ ", "> ")):
            if command:
                yield CommandLine(page, command, tuple(output))
            command, output = line[2:], []
        else:
            output.append(line)
    yield CommandLine(page, command, tuple(output))


def split_words(text: str) -> list[list[str]]:
    """Return the words of each program that a line calls, without variables before and redirections behind them."""
    found = []
    for part in re.split(r"&&|\|(?=\s)|;|\$\(", re.sub(r"'[^']*'|\"[^\"]*\"", "quoted", text)):
        for before in FRAMEWORKS:
            part = part.replace(f"{before}jobistemer", "framework")  # noqa: PLW2901 - one prefix after the other
        words = shlex.split(part.replace("'", "").replace('"', "").rstrip(") "), comments=True)
        found.append([word for word in words if not re.match(r"[<>&]|2>|[A-Z_]+=", word)])
    return found
