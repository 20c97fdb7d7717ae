"""The files that browsers keep: their folder, and marks of their content for the addresses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent.parent / "static"


@cache
def mark_files() -> Mapping[str, str]:
    """Return a mark of each file by its name: with it in the address, a browser need never ask for the file again."""
    return {file.name: sha256(file.read_bytes()).hexdigest()[:12] for file in sorted(STATIC.iterdir())}
