"""Count the functions of Jobistemer that one trip of a run enters, by running it on an in-memory server.

python docs/draw_trips.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import jobistemer
from jobistemer import Jobistemer
from jobistemer.store.server.connection import forget_fake_server

PACKAGE = Path(jobistemer.__file__).parent
Trip = list[tuple[str, str]]


@contextmanager
def trace() -> Iterator[Trip]:
    """Record the functions of the package that this thread enters, each once, as (file, function) in their order."""
    entered: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(PACKAGE):
            entered.setdefault((str(file.relative_to(PACKAGE)), frame.f_code.co_qualname))

    trip: Trip = []
    sys.setprofile(note)
    try:
        yield trip
    finally:
        sys.setprofile(None)
        trip.extend(entered)


def count_enqueue() -> Trip:
    """Return the functions that one plain typed call enters: one shard, no hooks, no limits, a connected app."""
    url = f"fake://{uuid4()}"
    app = Jobistemer(url, shards=1)

    @app.task
    def add(left: int, right: int) -> int:
        return left + right

    # The first call connects, loads the script and fills the cache of message fields.
    add.enqueue(1, 2)
    with trace() as trip:
        add.enqueue(left=1, right=2)
    forget_fake_server(url)
    # Leaving `trace` is no part of the trip, and its frame is not of the package.
    return trip


if __name__ == "__main__":
    found = count_enqueue()
    for file, function in found:
        print(f"{file:40} {function}")  # noqa: T201 - what the command is for
    print(f"enqueue: {len(found)} functions in {len({file for file, _ in found})} files")  # noqa: T201 - as above
