"""All measurements in order, within a time."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.bench import machine
from jobistemer.bench.environment import Gauge
from jobistemer.bench.results import Delay, Report, Throughput
from jobistemer.bench.tasks import build_app
from jobistemer.bench.workloads import Bench
from jobistemer.core.errors import Misconfigured

MOST_RUNS = 150_000
"""What is enqueued at the most, in three parts: figures change no more, and memory is somebody's."""
LEAST_RUNS = 15_000
JOBS = 100
FILL, SINGLE, LATENCY, DUE = 0.05, 0.08, 0.12, 0.2
"""The parts of the time that the measurements have; what is left goes for starting, draining and emptying."""
SLOWEST = 10
"""A worker that takes so many times as long as enqueueing did is stopped: the time is to be kept."""
AT_LEAST_S = 5
"""What it gets in any case: on a busy machine even its threads take a while to be there."""


class Wanted(msgspec.Struct, frozen=True):
    """How long it may take in all, about, and the rate for which the latency is wanted."""

    seconds: float
    rate: int


def perform(url: str, namespace: str, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """Measure everything in a namespace that is this measurement's own. `tell` hears what comes next."""
    began = time.monotonic()
    app = build_app(url, namespace)
    gauge, here = Gauge(app.namespace), machine.described()
    tell("what else goes on")
    warnings = gauge.warnings(here["load"], here["cores"])
    throughput, delays = _measured(app, gauge, wanted, tell)
    warnings += [f"{each.work}: {each.unfinished} runs were left" for each in throughput if each.unfinished]
    return Report(
        took_s=round(time.monotonic() - began, 1),
        machine=here,
        server=gauge.described(),
        warnings=warnings,
        throughput=throughput,
        delays=delays,
    )


def _measured(
    app: Jobistemer, gauge: Gauge, wanted: Wanted, tell: Callable[[str], None]
) -> tuple[list[Throughput], list[Delay]]:
    room = gauge.most_runs(MOST_RUNS)
    if room < LEAST_RUNS:
        raise Misconfigured("the server's `maxmemory` leaves too little for a measurement, which needs about 50 MiB")
    bench = Bench(app, gauge, room // 3)
    fill_s = FILL * wanted.seconds
    tell("enqueueing")
    throughput = [bench.single(SINGLE * wanted.seconds)]
    for task in ("plain", "coroutine"):
        filled = bench.bulk(task, fill_s)
        tell(f"draining {task} functions" if task == "plain" else "draining coroutines")
        throughput += [*([filled] if task == "plain" else []), bench.drain(task, SLOWEST * fill_s + AT_LEAST_S)]
    tell("latency")
    delays = bench.latency(LATENCY * wanted.seconds, wanted.rate)
    tell("due instants")
    delays.append(bench.due(JOBS, max(2, round(DUE * wanted.seconds))))
    return throughput, delays
