"""Text that is safe to show and to store: no control characters for terminals and logs, no passwords or tokens.

`hide_secrets` is applied where text about a failure is made, so that no secret reaches the server, and again where text
is shown, because an older process or an application may have stored one.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, NamedTuple

HIDDEN: Final = "***"
_JOINERS: Final = frozenset("\u200c\u200d")
_LAST_LATIN: Final = 0x24F
"""Up to here no letter needs a mark that joins it to the next one or keeps it apart."""
_HINTS: Final = (
    *("pass", "pwd", "secret", "token", "key", "signature", "sig="),
    *("authorization", "cookie", "bearer", "basic"),
)
_MAX_LINE = 4_000
_MIN_KNOWN = 8
_MAX_KNOWN = 100
_known: list[str] = []
"""Passwords that this process itself connects with. They are hidden wherever they stand, without any name beside."""


def escape_text(text: str) -> str:
    """Write control characters, line ends and invisible marks as escapes.

    Returns the text unchanged when it has none. Text from users cannot move a cursor or forge a line of a log then.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or (each in _JOINERS and _joins(text, at)) else _escape(each)
        for at, each in enumerate(text)
    )


def _joins(text: str, at: int) -> bool:
    """Return whether the mark at a place stands between two letters or emoji: Persian, Indic words and families."""
    beside = text[at - 1 : at] + text[at + 1 : at + 2]
    return len(beside) == 2 and all(ord(each) > _LAST_LATIN and each.isprintable() for each in beside)


def escape_json(text: str) -> str:
    r"""Write control characters and invisible marks of a JSON document as `\u0000`, which means the same to any reader.

    JSON itself asks for that only below U+0020; a terminal obeys more: DEL, C1 controls, marks that turn the direction.
    """
    if text.isprintable():
        return text
    return "".join(each if each == "\n" or each.isprintable() else _escape_utf16(each) for each in text)


def remember_secret(text: str | None) -> None:
    """Hide a password wherever it stands, from now on. A short one and one of small letters are words like others."""
    is_word = not text or len(text) < _MIN_KNOWN or (text.isalpha() and text.islower())
    if text and not is_word and text not in _known:
        _known.append(text)
        del _known[:-_MAX_KNOWN]


def hide_secrets(text: str) -> str:
    """Replace by `***`: passwords of URLs, values of known names and headers, and this process's own passwords."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    lowered = text.lower()
    if ":/" in text or "//" in text:
        text = _compile_rules().password.sub(rf"\1:{HIDDEN}@", text)
    if any(hint in lowered for hint in _HINTS):
        for rule in _compile_rules().named:
            text = rule.sub(rf"\1{HIDDEN}", text)
    return text


def make_storable(text: object, most: int = _MAX_LINE) -> str:
    r"""Make text for people fit to be stored: half of a surrogate pair becomes its escape, such as `\udc80`.

    most: the characters that are kept; of a longer text the end is left out, with a mark. Text that is an identity is
    refused instead, see `checks.check_name`.
    """
    try:
        stored = str(text)
    except Exception as error:  # noqa: BLE001 - a text for people must not hide what it was about
        stored = f"<{type(text).__name__} that cannot be shown: {type(error).__name__}>"
    if len(stored) > most:
        stored = f"{stored[:most]} … ({len(stored)} characters)"
    return stored if stored.isascii() else stored.encode("utf-8", "backslashreplace").decode()


def clean_text(text: str) -> str:
    """Make text fit to be shown on one line: no secrets, no control characters."""
    return escape_text(hide_secrets(text))


def hide_named(values: Any) -> Any:
    """Replace the values of secret names in headers or metadata by `***`, and the secrets in the others."""
    is_secret = _compile_rules().name.fullmatch
    safe = {name: hide_secrets(value) if isinstance(value, str) else value for name, value in values.items()}
    return {name: HIDDEN if is_secret(name) else value for name, value in safe.items()}


class _Rules(NamedTuple):
    password: re.Pattern[str]
    named: tuple[re.Pattern[str], ...]
    name: re.Pattern[str]


@cache
def _compile_rules() -> _Rules:
    """Build the patterns at their first use. All their lengths have a bound: no text makes a search slow."""
    words = "password passwd passphrase pwd secret token api[_-]?key private[_-]?key access[_-]?key signature"
    name = rf"[\w.-]{{0,40}}(?:{'|'.join(words.split())})s?[\w.-]{{0,40}}"
    header = r"(?:proxy-)?authorization|(?:set-)?cookie|private-token|x-[\w-]{0,40}(?:key|token|secret|signature)"
    rules = (
        # Options of a URL.
        rf"([?&;](?:{name}|sig|key)=)[^&;#\s]+",
        # Items of dictionaries and of JSON, and pairs of headers: (b'authorization', b'x').
        rf"""((['"])(?:{name}|{header})\2\s{{0,5}}[:,]\s{{0,5}}b?(['"]))(?:\\.|(?!\3)[^\\\n]){{1,{_MAX_LINE}}}""",
        # Authorization: Bearer x, password: x
        rf"""(\b(?:{header}|password|passwd|api[_-]?key):[ \t]{{1,5}})[^\s'",;]\S*(?:[ \t](?=\S{{8}})[^\s'",;]+)?""",
        # password=x, of command lines and of libraries of databases; what is plainly code stays.
        rf"""(\b{name}=(['"]?))(?![\s*'"(]|None\b|True\b|False\b)[^\s&;,'")\]}}]+""",
        r"(\b(?:bearer|basic)[ \t]{1,3})(?=[\w.~+/=-]{12})[\w.~+/=-]+",
    )
    return _Rules(
        # A password stands between the colon after a user and the last @, unless it begins as a port does: a query may
        # have an @.
        re.compile(r"((?::/|//)/?[^\s:/@\[]{0,200}):(?!\d{1,5}(?:[/,?#\s]|$))\S{0,500}@"),
        tuple(re.compile(rule, re.IGNORECASE) for rule in rules),
        re.compile(rf"(?:{name}|{header})", re.IGNORECASE),
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _escape_utf16(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
