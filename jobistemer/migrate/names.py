"""Names of the other engine in letters that names here may have."""

from __future__ import annotations

import re

from jobistemer.core.checks import check_name

_LONGEST = 100


def clean_name(name: str) -> str:
    """Return a name that is allowed here, the same where it is allowed as it stands."""
    try:
        return check_name("name", name)
    except ValueError:
        cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:_LONGEST]
        return cleaned or "unnamed"


def build_identifier(name: str, taken: set[str]) -> str:
    """Return a Python identifier for a name that is not taken yet, and take it."""
    base = re.sub(r"\W+", "_", name).strip("_").lower() or "job"
    if base[0].isdigit():
        base = f"job_{base}"
    found, number = base, 2
    while found in taken:
        found, number = f"{base}_{number}", number + 1
    taken.add(found)
    return found
