"""Execute a fragment by itself: the smallest script that calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobistemer.store.database import Database
from jobistemer.store.scripts import read_fragment


def execute(database: Database, fragments: str, statement: str, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
    """Execute a statement of Lua behind these fragments, in their order."""
    text = "".join(map(read_fragment, fragments.split())) + statement
    return database.client.eval(text, len(keys), *keys, *args)
