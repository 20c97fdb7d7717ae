"""Text that is safe to show: no control characters for terminals and logs, no passwords or tokens in URLs."""

from __future__ import annotations

import re
from typing import Final

# A password stands between the colon after a user and the last @, unless it begins as a port does: a query may have
# an @. All lengths have a bound: a hostile text must not make the search slow.
_PASSWORD: Final = re.compile(r"(://[^\s:/@]{0,200}):(?!\d{1,5}(?:[/,?#\s]|$))\S{0,500}@")
_NAMES: Final = r"\w{0,40}(?:password|passwd|token|secret|signature)\w{0,40}|api_?key|sig|key"
_OPTION: Final = re.compile(rf"([?&;](?:{_NAMES})=)[^&;#\s]+", re.IGNORECASE)


def escape_text(text: str) -> str:
    """Write control characters, line ends and invisible marks as escapes.

    Returns the text unchanged when it has none. Text from users cannot move a cursor or forge a line of a log then.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def hide_secrets(text: str) -> str:
    """Replace the passwords and tokens in the URLs of a text by `***`."""
    if "://" not in text:
        return text
    return _OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
