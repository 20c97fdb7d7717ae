"""Draw the trips: the functions of Jobistemer that one call, run and due instant enter, by running one of each.

python docs/draw_trips.py

draws docs/reference/trips.md. The trips of a run and of a due instant stand in trip_run.py and trip_due.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import jobistemer
from jobistemer import Jobistemer
from jobistemer.store.server.connection import forget_fake_server

sys.path.insert(0, str(Path(__file__).parent))
from trip_due import count_due
from trip_run import CARRYING, count_run

PACKAGE = Path(jobistemer.__file__).parent
PAGE = Path(__file__).parent / "reference" / "trips.md"
INTRODUCTION = """# Trips

Every function of the package that one call, one run and one due instant pass, file by file. The page is drawn by
`docs/draw_trips.py`, which runs one of each under a profiler on an in-memory server with one shard; a test holds the
counts. Values (schedules, keys, ids) and the connection are left out of the trip of a due instant."""
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


def page() -> str:
    """Return the page: a table and a sequence diagram for each trip."""
    sections = [_section(*each) for each in _trips()]
    return "\n\n".join([INTRODUCTION, *sections]) + "\n"


def _trips() -> list[tuple[Any, ...]]:
    run = f"{len(CARRYING)} of them (bold) carry the run from one step to the next; the others are asked about it."
    return [
        ("A call is enqueued", "One typed call: one shard, no hooks, no limits.", count_enqueue()),
        (
            "A run is executed",
            f"From the read of the queue to the record of a plain success. {run}",
            count_run(),
            CARRYING,
        ),
        ("An instant is due", "A ticker reads the agenda, builds the claim ahead, and claims in time.", count_due()),
    ]


def _section(title: str, about: str, trip: Trip, carrying: tuple[str, ...] = ()) -> str:
    files = list(dict.fromkeys(file for file, _ in trip))
    visits = [(file, [name for _, name in group]) for file, group in groupby(trip, key=lambda each: each[0])]
    rows = "\n".join(f"| `{file}` | {', '.join(_mark(name, carrying) for name in names)} |" for file, names in visits)
    steps = "\n".join(
        f"    {_alias(one)}->>{_alias(other)}: {names[0].rpartition('.')[2]}"
        for (one, _), (other, names) in pairwise(visits)
    )
    participants = "\n".join(f"    participant {_alias(file)} as {file.removesuffix('.py')}" for file in files)
    diagram = f"```mermaid\nsequenceDiagram\n{participants}\n{steps}\n```"
    count = f"{len(trip)} functions in {len(files)} files."
    return f"## {title}\n\n{count} {about}\n\n{diagram}\n\n| file | functions, in the order of their first call |\n| --- | --- |\n{rows}"


def _mark(name: str, carrying: tuple[str, ...]) -> str:
    return f"**`{name}`**" if name in carrying else f"`{name}`"


def _alias(file: str) -> str:
    return file.removesuffix(".py").replace("/", "_")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
