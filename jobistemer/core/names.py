"""What may become part of a Redis key or a log line: checked once, where a name enters."""

from __future__ import annotations

import re

from jobistemer.core.errors import InvalidName

# No braces (they would move the hash tag), no colon (it separates the parts of a key), no control characters.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,127}", re.ASCII)


def check_name(kind: str, name: object) -> str:
    """Return `name` when it may enter a key; raises InvalidName with the kind, the value and the rule."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(
            f"{kind} name {name!r:.160} is not allowed: use 1–128 ASCII letters, digits and _ . - /, "
            "starting with a letter, a digit or _",
        )
    return name
