"""The Lua scripts: found, read with their headers, and called by name.

    CLAIM = script("claim_occurrence")
    call = CLAIM(keys=(…), args=(…))

The header of each file is its contract: `KEYS` and `ARGV` name what the body binds, `OUT` lists every reply as a
word. The words are checked when a reply is read, so that a script and its caller cannot drift apart unseen.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, NamedTuple

_PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the scripts are inside the package; in a checkout they stand at the top of the repository.
LUA_FOLDER = _PACKAGE / "lua" if (_PACKAGE / "lua").is_dir() else _PACKAGE.parent / "lua"

_SECTION = re.compile(r"^(KEYS|ARGV|OUT|KEEPS)\b(.*)$")


class Header(NamedTuple):
    """The contract at the top of a script."""

    name: str
    summary: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    words: frozenset[str]
    keeps: tuple[str, ...]


class Reply(NamedTuple):
    """What a script answered: one of its words, and its values; `extensions` are the answers of its extensions."""

    word: str
    values: list[Any]
    extensions: tuple[Reply, ...] = ()


class Script:
    """One Lua script, ready to be called."""

    def __init__(self, name: str, text: str, header: Header, inner: tuple[str, ...] = ()) -> None:
        self.name = name
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.header = header
        self.inner = inner

    def __call__(self, keys: tuple[str, ...], args: tuple[Any, ...]) -> Call:
        """A call of this script as a value; nothing is sent yet."""
        return Call(self, keys, args)


class Call(NamedTuple):
    """A script with its keys and arguments.

    `extensions` are calls that belong to it: they are executed right after it as one step, whatever it
    answers. Each looks for itself at what the one before has written, so that a refused call leaves them nothing to do.
    """

    script: Script
    keys: tuple[str, ...]
    args: tuple[Any, ...]
    extensions: tuple[Call, ...] = ()

    @property
    def command(self) -> tuple[Any, ...]:
        """The command to send, without what belongs to it."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)

    @property
    def combined(self) -> Call:
        """The call to send: this one, or one script that executes it and all that belongs to it."""
        if not self.extensions:
            return self
        parts = (self._replace(extensions=()), *self.extensions)
        args = [arg for each in parts for arg in (each.script.sha, len(each.keys), len(each.args), *each.args)]
        keys = tuple(key for each in parts for key in each.keys)
        return Call(_combine(tuple(each.script for each in parts)), keys, (len(parts), *args))


@cache
def _find_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(LUA_FOLDER.rglob("*.lua"))}


@cache
def script(name: str) -> Script:
    """Load the script in the file `lua/*/{name}.lua`."""
    text = _find_files()[name].read_text(encoding="utf-8")
    return Script(name, text, read_header(text))


# Not MULTI: at the memory limit a transaction is refused while it is queued, and a script that begins with a removal
# is not, see docs/decisions/0221-companions-of-a-commit.md.
_RUN_EACH = """
local at, from, answers = 2, 1, {}
for i = 1, math.min(tonumber(ARGV[1]), 100) do
  local name, keys, args = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  answers[i] = scripts[name]({unpack(KEYS, from, from + keys - 1)}, {unpack(ARGV, at + 3, at + 2 + args)})
  at, from = at + 3 + args, from + keys
end
return answers
"""


@cache
def _combine(parts: tuple[Script, ...]) -> Script:
    """A script that executes several: each stands in front of it as a function of its KEYS and ARGV."""
    functions = [f"scripts['{each.sha}'] = function(KEYS, ARGV)\n{each.text}\nend" for each in dict.fromkeys(parts)]
    text = "\n".join(["local scripts = {}", *functions, _RUN_EACH])
    return Script(" and ".join(each.name for each in parts), text, parts[0].header)


@cache
def compose(outer: str, inner: tuple[str, ...]) -> Script:
    """A script that calls others, which stand in front of it in the same way."""
    header = script(outer).header
    words = header.words.union(*(script(name).header.words for name in inner))
    return Script(outer, _prepend(inner, script(outer).text), header._replace(words=words), inner)


def _prepend(names: tuple[str, ...], text: str) -> str:
    functions = [f"scripts['{name}'] = function(KEYS, ARGV)\n{script(name).text}\nend" for name in dict.fromkeys(names)]
    return "\n".join(["local scripts = {}", *functions, text])


def list_scripts() -> list[Script]:
    """Every script there is."""
    return [script(name) for name in sorted(_find_files())]


def read_header(text: str) -> Header:
    """Read the contract in a script's first comment; raises ValueError when a part of it is missing."""
    comment = text.partition("]]")[0].removeprefix("--[[").strip().splitlines()
    name, _, summary = comment[0].partition(": ")
    sections: dict[str, list[str]] = {"KEYS": [], "ARGV": [], "OUT": [], "KEEPS": []}
    current: list[str] = []
    for line in comment[1:]:
        if match := _SECTION.match(line):
            current = sections[match[1]]
            current.extend([match[2].strip()] if match[2].strip() else [])
        elif line.startswith("  "):
            current.append(line[2:])
    if not sections["OUT"] or not sections["KEEPS"]:
        raise ValueError(f"script {name}: the header lacks OUT or KEEPS")
    return Header(
        name,
        summary,
        tuple(_read_names(sections["KEYS"])),
        tuple(_read_names(sections["ARGV"])),
        frozenset(word for word in _first_words(sections["OUT"]) if word.isupper()),
        tuple(" ".join(sections["KEEPS"]).split()),
    )


def _read_names(lines: list[str]) -> list[str]:
    # Names stand alone or in a list, two blanks before what is said of them.
    rows = [line.split("  ")[0] for line in lines if line and not line.startswith(" ")]
    return [name.split()[0] for row in rows for name in row.split(", ")]


def _first_words(lines: list[str]) -> list[str]:
    # A continued description is indented further than the word it describes.
    return [line.split()[0] for line in lines if line and not line.startswith(" ")]
