"""Lua scripts, loaded from files and called by their names.

    call = script("claim_occurrence")(keys=(…), args=(…))

The header of each file is its contract: `KEYS` and `ARGV` name the values that the body binds, `OUT` lists every reply
as a word. The words are checked when a reply is read, so that a script and its caller cannot drift apart unnoticed.

`USES` names fragments: functions in `lua/fragments` that several scripts share. The loader puts them in front of the
script, so the text that is sent, and with it the SHA, includes them; the server needs no library.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, NamedTuple

_PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the scripts are inside the package; in a checkout they stand at the top of the repository.
LUA_FOLDER = _PACKAGE / "lua" if (_PACKAGE / "lua").is_dir() else _PACKAGE.parent / "lua"

ENQUEUE_SCRIPTS: Final = ("enqueue_run", "enqueue_runs", "delay_run", "debounce_run", "send_signal")
PRODUCER_SCRIPTS: Final = (*ENQUEUE_SCRIPTS, "record_change")
"""The scripts of producers, which may not load them: tickers and workers do."""

_FRAGMENTS = "fragments"
_SECTION = re.compile(r"^(USES|KEYS|ARGV|OUT|KEEPS|LONG|TAKES|GIVES)\b(.*)$")
_KEY_KIND = re.compile(r"\{ns:shard\}:([a-z]+)")


class Header(NamedTuple):
    """The contract at the top of a script.

    uses: the fragments that its body calls. key_kinds: the words that follow the hash tag in its keys. long: why the
    body has more than forty lines, empty when it has not.
    """

    name: str
    summary: str
    uses: tuple[str, ...]
    keys: tuple[str, ...]
    args: tuple[str, ...]
    words: frozenset[str]
    keeps: tuple[str, ...]
    key_kinds: frozenset[str]
    long: str


class Reply(NamedTuple):
    """The reply of a script: one of its words, and its values; `extensions` are the replies of its extensions."""

    word: str
    values: list[Any]
    extensions: tuple[Reply, ...] = ()


class Script:
    """One Lua script, ready to be called.

    text: all that is sent, fragments included. inner: the scripts that stand in front of it as functions.
    """

    def __init__(self, name: str, text: str, header: Header, inner: tuple[str, ...] = ()) -> None:
        self.name = name
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.header = header
        self.inner = inner

    def __call__(self, keys: tuple[str, ...], args: tuple[Any, ...]) -> ScriptCall:
        """Return a call of this script as a value; nothing is sent yet."""
        return ScriptCall(self, keys, args)


class ScriptCall(NamedTuple):
    """A script with its keys and arguments.

    extensions: calls that are executed right after it in the same atomic step, whatever it answers. Each of them reads
    for itself what the call before has written, so that after a refused call they find nothing to do.
    """

    script: Script
    keys: tuple[str, ...]
    args: tuple[Any, ...]
    extensions: tuple[ScriptCall, ...] = ()

    @property
    def command(self) -> tuple[Any, ...]:
        """The command to send, without the extensions."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)

    @property
    def combined(self) -> ScriptCall:
        """The call to send: this one, or a call of one script that executes it and its extensions."""
        if not self.extensions:
            return self
        parts = (self._replace(extensions=()), *self.extensions)
        args = [arg for each in parts for arg in (each.script.sha, len(each.keys), len(each.args), *each.args)]
        keys = tuple(key for each in parts for key in each.keys)
        return ScriptCall(_combine(tuple(each.script for each in parts)), keys, (len(parts), *args))


@cache
def _find_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(LUA_FOLDER.rglob("*.lua")) if path.parent.name != _FRAGMENTS}


@cache
def script(name: str) -> Script:
    """Load the script in the file `lua/*/{name}.lua`, with the fragments that it uses."""
    source = _find_files()[name].read_text(encoding="utf-8")
    header = read_header(source)
    return Script(name, "".join(map(read_fragment, header.uses)) + source, header)


@cache
def read_fragment(name: str) -> str:
    """Return the function in the file `lua/fragments/{name}.lua`, without its header.

    A fragment that calls another one is listed behind it: Lua finds a local function only above its call.
    """
    return (LUA_FOLDER / _FRAGMENTS / f"{name}.lua").read_text(encoding="utf-8").partition("]]\n")[2]


@cache
def read_contract(name: str) -> str:
    """Return the header of a script or a fragment as it is written."""
    path = _find_files().get(name) or LUA_FOLDER / _FRAGMENTS / f"{name}.lua"
    return path.read_text(encoding="utf-8").partition("]]")[0]


# Not MULTI: at the memory limit a transaction is refused while it is queued, and a script that begins with a removal
# is not, see docs/decisions/0221-companions-of-a-commit.md.
_RUN_EACH = """
local at, from, answers, refused = 2, 1, {}, nil
for i = 1, math.min(tonumber(ARGV[1]), 100) do
  local name, keys, args = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  answers[i] = scripts[name]({unpack(KEYS, from, from + keys - 1)}, {unpack(ARGV, at + 3, at + 2 + args)})
  at, from = at + 3 + args, from + keys
  -- A bundle that could not end one of its runs answers with that refusal, and has ended the others: it is sent again.
  if type(answers[i]) == 'table' and answers[i].err then refused = answers[i] end
end
return refused or answers
"""


@cache
def _combine(parts: tuple[Script, ...]) -> Script:
    """Build a script that executes several: each stands in front of it as a function of its KEYS and ARGV."""
    functions = [f"scripts['{each.sha}'] = function(KEYS, ARGV)\n{each.text}\nend" for each in dict.fromkeys(parts)]
    text = "\n".join(["local scripts = {}", *functions, _RUN_EACH])
    return Script(" and ".join(each.name for each in parts), text, parts[0].header)


@cache
def compose(outer: str, inner: tuple[str, ...]) -> Script:
    """Build a script that calls others, which stand in front of it as functions of their KEYS and ARGV."""
    header = script(outer).header
    words = header.words.union(*(script(name).header.words for name in inner))
    return Script(outer, _prepend(inner, script(outer).text), header._replace(words=words), inner)


def _prepend(names: tuple[str, ...], text: str) -> str:
    functions = [f"scripts['{name}'] = function(KEYS, ARGV)\n{script(name).text}\nend" for name in dict.fromkeys(names)]
    return "\n".join(["local scripts = {}", *functions, text])


def list_scripts() -> list[Script]:
    """Return every script."""
    return [script(name) for name in sorted(_find_files())]


def read_header(text: str) -> Header:
    """Read the contract in a script's first comment. Raises ValueError when a part of it is missing."""
    comment = text.partition("]]")[0].removeprefix("--[[").strip().splitlines()
    name, _, summary = comment[0].partition(": ")
    sections = _read_sections(comment[1:])
    if not sections["OUT"] or not sections["KEEPS"]:
        raise ValueError(f"script {name}: the header lacks OUT or KEEPS")
    return Header(
        name,
        summary,
        tuple(" ".join(sections["USES"]).split()),
        tuple(_read_names(sections["KEYS"])),
        tuple(_read_names(sections["ARGV"])),
        frozenset(word for word in _first_words(sections["OUT"]) if word.isupper()),
        tuple(" ".join(sections["KEEPS"]).split()),
        frozenset(_KEY_KIND.findall("\n".join(comment))),
        " ".join(map(str.strip, sections["LONG"])),
    )


def _read_sections(lines: list[str]) -> defaultdict[str, list[str]]:
    sections = defaultdict[str, list[str]](list)
    current: list[str] = []
    for line in lines:
        if match := _SECTION.match(line):
            current = sections[match[1]]
            current.extend([match[2].strip()] if match[2].strip() else [])
        elif line.startswith("  "):
            current.append(line[2:])
    return sections


def _read_names(lines: list[str]) -> list[str]:
    # Names stand alone or in a list, two blanks before their description.
    rows = [line.split("  ")[0] for line in lines if line and not line.startswith(" ")]
    return [name.split()[0] for row in rows for name in row.split(", ")]


def _first_words(lines: list[str]) -> list[str]:
    # A continued description is indented further than the word it describes.
    return [line.split()[0] for line in lines if line and not line.startswith(" ")]
