"""Secrets in text on its way to a log: passwords and tokens in URLs, whoever has written them there."""

from __future__ import annotations

import re
from typing import Final

# What stands between the colon after a user and the last @, unless it begins as a port does: an @ may come in a query.
# All lengths have a bound, so that no text takes long, whoever has written it.
_PASSWORD: Final = re.compile(r"(://[^\s:/@]{0,200}):(?!\d{1,5}(?:[/,?#\s]|$))\S{0,500}@")
_NAMES: Final = r"\w{0,40}(?:password|passwd|token|secret|signature)\w{0,40}|api_?key|sig|key"
_OPTION: Final = re.compile(rf"([?&;](?:{_NAMES})=)[^&;#\s]+", re.IGNORECASE)


def hide_secrets(text: str) -> str:
    """The text with the secrets of its URLs hidden."""
    if "://" not in text:
        return text
    return _OPTION.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
