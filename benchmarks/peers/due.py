"""The work that is measured with schedulers: due every second, and not due at all."""

from __future__ import annotations

import math
import time
from collections import defaultdict

from benchmarks.peers.harness import Figures, Harness
from benchmarks.peers.processes import ProcessSet, StepFailed, wait_until

SECOND_NS = 1_000_000_000
EDGE_S = 0.05
"""A window begins and ends so long before a second, when what was due has been dealt with by all who keep up."""
KEPT_UP_SHARE = 0.8
"""The share that must have started in the window for lateness to mean anything: who is behind is late by more each second."""


def measure_every_second(harness: Harness, seconds: int, settle: float, patience: float) -> Figures:
    """From the due instant to the first line of the task, by the wall clock of this one machine."""
    registered = _register(harness)
    began = time.perf_counter()
    with harness.workers() as workers, harness.schedulers() as schedulers:
        _wait_for_first_mark(harness, workers, schedulers, patience)
        start_up = time.perf_counter() - began
        first = math.ceil(time.time() + settle)
        time.sleep(first - EDGE_S - time.time())
        cpu, server = workers.cpu_seconds() + schedulers.cpu_seconds(), harness.server.cpu_seconds()
        waiting = harness.unfinished()
        time.sleep(first + seconds - EDGE_S - time.time())
        waiting = harness.unfinished() - waiting
        spent = workers.cpu_seconds() + schedulers.cpu_seconds() - cpu
        server_spent = harness.server.cpu_seconds() - server
        workers.check()
        schedulers.check()
    started, late = read_lateness(harness.marks.read_text(), first, seconds, aligned=harness.peer.aligned)
    expected, fired = harness.schedules * seconds, started + waiting
    if fired <= 0:
        raise StepFailed("nothing was fired in the window")
    keeps_up = started >= KEPT_UP_SHARE * expected
    return {
        "fired %": 100 * fired / expected,
        "started %": 100 * started / expected,
        "cpu %": 100 * spent / seconds,
        "server cpu %": 100 * server_spent / seconds,
        "us per fired": (spent + server_spent) / fired * 1e6,
        "register s": registered,
        "start-up s": start_up,
        **({"p50 ms": late[len(late) // 2], "p99 ms": late[int(len(late) * 0.99)]} if keeps_up else {}),
    }


def read_lateness(marks: str, first: int, seconds: int, *, aligned: bool) -> tuple[int, list[float]]:
    """How many started in the window, and their lateness in milliseconds, sorted.

    Of what is due at whole seconds it is the time since the second; of what repeats from wherever it began, the time
    since where it would be had it kept to the earliest phase that it showed in the window.
    """
    begin = first * SECOND_NS - int(EDGE_S * SECOND_NS)
    starts: dict[str, list[int]] = defaultdict(list)
    for line in marks.splitlines():
        label, _, wall = line.split()
        if begin <= int(wall) < begin + seconds * SECOND_NS:
            starts[label].append(int(wall))
    late: list[float] = []
    for times in starts.values():
        if aligned:
            late += [wall % SECOND_NS / 1e6 for wall in times]
        else:
            phases = [wall - number * SECOND_NS for number, wall in enumerate(sorted(times))]
            late += [(phase - min(phases)) / 1e6 for phase in phases]
    return len(late), sorted(late)


def measure_not_due(harness: Harness, seconds: float, settle: float) -> Figures:
    """What schedules cost that are due in months; no worker, except where the worker is the scheduler."""
    harness.due = "year"
    harness.server.refuse_beyond_half_of_memory()
    registered = _register(harness)
    held = harness.server.used_bytes()
    with harness.schedulers() if harness.peer.scheduler else harness.workers() as schedulers:
        time.sleep(settle)
        schedulers.check()
        cpu, server = schedulers.cpu_seconds(), harness.server.cpu_seconds()
        asked = harness.server.commands()
        time.sleep(seconds)
        schedulers.check()
        stored = {"bytes each": held / harness.schedules, "register s": registered} if harness.peer.registered else {}
        return {
            "cpu %": 100 * (schedulers.cpu_seconds() - cpu) / seconds,
            "server cpu %": 100 * (harness.server.cpu_seconds() - server) / seconds,
            "commands/s": (harness.server.commands() - asked) / seconds,
            "start-up cpu s": cpu,
            **stored,
        }


def _register(harness: Harness) -> float:
    if not harness.peer.registered:
        return 0.0
    with harness.producer(patience=60) as producer:
        return producer.ask("register", count=harness.schedules, timeout=420)["seconds"]


def _wait_for_first_mark(harness: Harness, workers: ProcessSet, schedulers: ProcessSet, patience: float) -> None:
    def any_mark() -> bool:
        workers.check()
        schedulers.check()
        return harness.marks.exists() and harness.marks.stat().st_size > 0

    wait_until(any_mark, patience, "the first firing", 0.02)
