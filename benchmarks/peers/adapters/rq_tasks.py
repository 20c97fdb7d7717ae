"""The tasks of rq, which finds them by the name of their module."""

from __future__ import annotations

import time

import bench


def plain() -> None: ...


def sleep() -> None:
    time.sleep(bench.MILLISECOND)


def stamp(sent: int) -> None:
    bench.mark(sent)


def tick() -> None:
    bench.mark("tick")
