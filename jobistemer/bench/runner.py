"""All measurements in order, within a time."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.bench import machine
from jobistemer.bench.environment import ServerProbe
from jobistemer.bench.results import BenchReport, Lateness, Throughput
from jobistemer.bench.tasks import build_app
from jobistemer.bench.workloads import Workloads
from jobistemer.core.errors import Misconfigured

MAX_RUNS = 150_000
"""What is enqueued at the most, in three parts: figures change no more, and memory is somebody's."""
MIN_RUNS = 15_000
JOBS = 100
FILL_SHARE, SINGLE_SHARE, LATENCY_SHARE, DUE_SHARE = 0.05, 0.08, 0.12, 0.2
"""The parts of the time that the measurements have; what is left goes for starting, draining and emptying."""
MAX_SLOWDOWN = 10
"""A worker that takes so many times as long as enqueueing did is stopped: the time is to be kept."""
MIN_DRAIN_S = 5
"""What it gets in any case: on a busy machine even its threads take a while to be there."""


class BenchOptions(msgspec.Struct, frozen=True):
    """How long it may take in all, about, and the rate for which the latency is wanted."""

    seconds: float
    rate: int


def run_benchmark(url: str, namespace: str, options: BenchOptions, on_step: Callable[[str], None]) -> BenchReport:
    """Measure everything in a namespace that is this measurement's own. `on_step` hears what comes next."""
    began = time.monotonic()
    app = build_app(url, namespace)
    probe, host = ServerProbe(app.namespace), machine.describe_host()
    on_step("what else goes on")
    warnings = probe.warnings(host["load"], host["cores"])
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
    max_runs = probe.max_runs(MAX_RUNS)
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
