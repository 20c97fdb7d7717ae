"""The app whose runs are measured: its tasks do nothing, or say how long they were under way."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from jobistemer.app import Jobistemer
from jobistemer.core import ids
from jobistemer.store.namespace import Namespace

STAMPS: Final[list[tuple[str, float]]] = []
"""What this process has seen of stamped runs: the phase that they belong to, and the seconds until they began."""


def build_app(url: str | None = None, namespace: str | None = None) -> Jobistemer:
    """An app with a plain function, a coroutine, and two that know how long they were under way."""
    app = Jobistemer(url, namespace=namespace)

    @app.task
    def plain() -> None: ...

    @app.task
    async def coroutine() -> None: ...

    @app.task
    def stamp(sent: float, phase: str = "") -> float:
        # Both ends are on one machine, so its monotonic clock counts for both.
        STAMPS.append((phase, time.monotonic() - sent))
        return STAMPS[-1][1]

    @app.task
    async def stamp_coroutine(sent: float) -> float:
        return time.monotonic() - sent

    return app


def declare_ticks(app: Jobistemer, count: int) -> list[str]:
    """Declare jobs that are due every second; their names, which are those of their tasks too."""
    names = [f"tick-{number}" for number in range(count)]
    for name in names:
        # Nobody runs them, and the next is to be fired all the same.
        app.job("* * * * * *", name=name, overlap="allow")(_tick)
    return names


def read_lateness(namespace: Namespace, names: Iterable[str], instants: range) -> list[int]:
    """How many ms after each instant the run's entry was made, by the server's time: what a worker would see."""
    late: list[int] = []
    for name in names:
        job = ids.job_id(name)
        database, task = namespace.for_job(job), ids.task_id(job, name)
        runs = [database.keys.run(ids.run_id(ids.occurrence_id(job, at), task)) for at in instants]
        entries = database.ask_all([("HGET", run, "entry") for run in runs])
        late += [int(entry.split(b"-")[0]) - at * 1000 for at, entry in zip(instants, entries, strict=True) if entry]
    return late


def _tick() -> None: ...
