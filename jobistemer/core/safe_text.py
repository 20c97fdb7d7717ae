"""Text from users on its way to a terminal or a log: nothing in it may move a cursor or forge a line."""

from __future__ import annotations


def escape_text(text: str) -> str:
    """The text with control characters, line ends and invisible marks written as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
