"""The application whose runs are measured: its tasks do nothing, or return how long their calls took to arrive."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from jobistemer.app import Jobistemer
from jobistemer.core import ids
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.records import find_entry_times

STAMPS: Final[list[tuple[str, float]]] = []
"""The stamped runs that this process executed: the phase that they belong to, and the seconds until they began."""


def build_app(url: str | None = None, namespace: str | None = None) -> Jobistemer:
    """Build an app with a plain function, a coroutine, and two tasks that measure the time since their call."""
    app = Jobistemer(url, namespace=namespace)

    @app.task
    def plain() -> None: ...

    @app.task
    async def coroutine() -> None: ...

    @app.task
    def stamp(sent: float, phase: str = "") -> float:
        # Client and worker are on one machine, so its monotonic clock counts for both.
        STAMPS.append((phase, time.monotonic() - sent))
        return STAMPS[-1][1]

    @app.task
    async def stamp_coroutine(sent: float) -> float:
        return time.monotonic() - sent

    return app


def declare_ticks(app: Jobistemer, count: int) -> list[str]:
    """Declare jobs that are due every second. Returns their names, which are the names of their tasks too."""
    names = [f"tick-{number}" for number in range(count)]
    for name in names:
        # No worker runs them, and the next occurrence is to be fired all the same.
        app.job("* * * * * *", name=name, overlap="allow")(_tick)
    return names


def read_lateness(namespace: Namespace, names: Iterable[str], instants: range) -> list[int]:
    """Return for each instant (s) of each job how many ms later its run was on its stream, by the server's time.

    This is the lateness that a worker would see: 0 for what lay there before its instant. Instants whose run is not on
    its stream are left out.
    """
    late: list[int] = []
    for name in names:
        job = ids.job_id(name)
        task = ids.task_id(job, name)
        runs = [ids.run_id(ids.occurrence_id(job, at), task) for at in instants]
        times_ms = find_entry_times(namespace.for_job(job), runs)
        late += [max(0, ms - at * 1000) for at, ms in zip(instants, times_ms, strict=True) if ms is not None]
    return late


def _tick() -> None: ...
