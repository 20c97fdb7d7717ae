"""Which work is done by whom, where, and how long it may take: one entry is one row a round."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks.peers import due, work
from benchmarks.peers.catalogue import Peer, settings_of
from benchmarks.peers.harness import Figures, Harness, Step
from benchmarks.peers.results import Key, Results

SCHEDULE_COUNTS = (100, 1000, 10_000)
SLEEPING_RATE = 8000
"""Runs a second to expect at most where each sleeps for a millisecond."""
NEAR_ENOUGH = 60.0
"""Share in percent that must have been fired of a thousand, for ten thousand to be tried."""


@dataclass(frozen=True)
class Durations:
    """How long each kind of step goes on."""

    drain_s: float = 1.6
    enqueue_s: float = 0.8
    latencies: int = 80
    window_s: int = 3
    idle_s: float = 4.0
    a_million: bool = True


FULL = Durations()
QUICK = Durations(drain_s=0.6, enqueue_s=0.3, latencies=40, window_s=3, idle_s=2.0, a_million=False)


def _never() -> bool:
    return False


@dataclass(frozen=True)
class PlannedStep:
    key: Key
    step: Step
    schedules: int = 0
    once: bool = False
    """Measured in the last round alone: it is long, and steady."""
    is_hopeless: Callable[[], bool] = _never
    """Asked when its turn comes: whether what was measured before says that there is no use in trying."""


def plan_steps(peer: Peer, measures: Durations, results: Results) -> Iterator[PlannedStep]:
    """All that one peer does in a round."""
    for setting in settings_of(peer):
        if peer.tasks:
            yield from _queue(peer, setting, measures, results)
    if peer.schedules:
        yield from _schedules(peer, settings_of(peer)[-1], measures, results)


def _queue(peer: Peer, setting: str, measures: Durations, results: Results) -> Iterator[PlannedStep]:
    best = setting == settings_of(peer)[-1]
    native = peer.tasks[-1]
    for task in peer.tasks:
        yield _drain(peer, setting, "two cores", f"drain {task}", task, 1, measures, results)
    if best:
        yield _drain(peer, setting, "one core", f"drain {native}", native, 1, measures, results)
        slow = {"plain": "sleep", "coroutine": "sleep_coroutine"}[native]
        yield _drain(peer, setting, "two cores", "drain 1 ms", slow, 1, measures, results, native)
        yield _drain(peer, setting, "free", "drain two processes", native, 2, measures, results, native)
    if setting == "default":
        yield PlannedStep(
            Key("enqueue", peer.name, setting, "two cores"),
            partial(work.enqueue, way="single", seconds=measures.enqueue_s),
        )
        if peer.bulk:
            yield PlannedStep(
                Key("enqueue bulk", peer.name, setting, "two cores"),
                partial(work.enqueue, way="bulk", seconds=measures.enqueue_s),
            )
    idle = partial(work.latency, per_s=50, count=measures.latencies)
    yield PlannedStep(Key("latency idle", peer.name, setting, "two cores"), idle)
    busy = partial(work.latency, per_s=500, count=measures.latencies * 8)
    yield PlannedStep(Key("latency 500/s", peer.name, setting, "two cores"), busy)


def _drain(
    peer: Peer,
    setting: str,
    placement: str,
    name: str,
    task: str,
    processes: int,
    measures: Durations,
    results: Results,
    native: str = "",
) -> PlannedStep:
    key = Key(name, peer.name, setting, placement)
    like = Key(f"drain {native}", peer.name, setting, "two cores") if native else key
    expected = peer.rate.get(setting, peer.rate["default"])
    highest = SLEEPING_RATE if "sleep" in task else math.inf

    def step(harness: Harness) -> Figures:
        seen = results.last(key) or results.last(like)
        rate = min(highest, seen.get("runs/s", expected))
        return work.drain(harness, task, processes, rate, measures.drain_s)

    return PlannedStep(key, step)


def _schedules(peer: Peer, setting: str, measures: Durations, results: Results) -> Iterator[PlannedStep]:
    if peer.seconds:
        for count in SCHEDULE_COUNTS:
            key = Key(f"schedules {count}", peer.name, setting, "free")
            every = partial(
                due.measure_every_second,
                seconds=measures.window_s,
                settle=2.0 + count / 5000,
                patience=20.0 + count / 250,
            )
            yield PlannedStep(
                key, every, count, is_hopeless=partial(_is_out_of_reach, results, key) if count > 1000 else _never
            )
    for count in (10_000, 1_000_000):
        if count <= peer.most_schedules and (count <= 10_000 or measures.a_million):
            idle = partial(due.measure_not_due, seconds=measures.idle_s, settle=5.0)
            yield PlannedStep(Key(f"not due {count}", peer.name, setting, "free"), idle, count, once=True)


def _is_out_of_reach(results: Results, key: Key) -> bool:
    fewer = Key(f"schedules {SCHEDULE_COUNTS[1]}", key.peer, key.setting, key.placement)
    return results.last(fewer).get("fired %", 0.0) < NEAR_ENOUGH
