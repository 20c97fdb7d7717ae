"""The order of all measurements, and how they share the time."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.bench.environment import ServerProbe, describe_host
from jobistemer.bench.results import BenchReport, Lateness, Throughput
from jobistemer.bench.tasks import build_app
from jobistemer.bench.workloads import Workloads
from jobistemer.core.errors import Misconfigured

MAX_RUNS = 150_000
"""Upper limit of runs enqueued, in three parts: more do not change the figures, and the memory is the server's."""
MIN_RUNS = 15_000
JOBS = 100
FILL_SHARE, SINGLE_SHARE, LATENCY_SHARE, DUE_SHARE = 0.05, 0.08, 0.12, 0.2
"""Shares of the time for each measurement; starting, draining and emptying take the rest."""
MAX_SLOWDOWN = 10
"""A worker that takes so many times as long as enqueueing did is stopped, so that the time is kept."""
MIN_DRAIN_S = 5
"""Seconds that a worker gets in any case: on a busy machine even the start of its threads takes a while."""


class BenchOptions(msgspec.Struct, frozen=True):
    """About how many seconds the measurement takes in all, and the rate (runs/s) of the latency under load."""

    seconds: float
    rate: int


def run_benchmark(url: str, namespace: str, options: BenchOptions, on_step: Callable[[str], None]) -> BenchReport:
    """Measure everything in a namespace that this measurement has reserved. `on_step` takes the name of each step.

    Raises Misconfigured when the server has too little memory left.
    """
    began = time.monotonic()
    app = build_app(url, namespace)
    probe, host = ServerProbe(app.namespace), describe_host()
    on_step("load of machine and server")
    warnings = probe.find_warnings(host["load"], host["cores"])
    throughput, delays = _measure_all(app, probe, options, on_step)
    warnings += [f"{each.work}: {each.unfinished} runs were left" for each in throughput if each.unfinished]
    return BenchReport(
        took_s=round(time.monotonic() - began, 1),
        machine=host,
        server=probe.describe(),
        warnings=warnings,
        throughput=throughput,
        delays=delays,
    )


def _measure_all(
    app: Jobistemer, probe: ServerProbe, options: BenchOptions, on_step: Callable[[str], None]
) -> tuple[list[Throughput], list[Lateness]]:
    max_runs = probe.limit_runs(MAX_RUNS)
    if max_runs < MIN_RUNS:
        raise Misconfigured("the server's `maxmemory` leaves too little for a measurement, which needs about 50 MiB")
    workloads = Workloads(app, probe, max_runs // 3)
    fill_s = FILL_SHARE * options.seconds
    on_step("enqueueing")
    throughput = [workloads.enqueue_single(SINGLE_SHARE * options.seconds)]
    for task in ("plain", "coroutine"):
        filled = workloads.enqueue_bulk(task, fill_s)
        on_step(f"draining {task} functions" if task == "plain" else "draining coroutines")
        throughput += [
            *([filled] if task == "plain" else []),
            workloads.drain(task, MAX_SLOWDOWN * fill_s + MIN_DRAIN_S),
        ]
    on_step("latency")
    delays = workloads.measure_latency(LATENCY_SHARE * options.seconds, options.rate)
    on_step("due instants")
    delays.append(workloads.measure_due(JOBS, max(2, round(DUE_SHARE * options.seconds))))
    return throughput, delays
