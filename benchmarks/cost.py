"""What one run and one claim cost, step by step: commands, bytes on the wire, server µs, client µs.

    python benchmarks/cost.py [--runs 20000]

All steps are taken in this one process, one after another, so that each can be told from the others: the same calls
that producers, workers and tickers make. Server µs are those of INFO commandstats (time in commands, without reading
and writing the network); the server's whole CPU stands beside it. The row `loop` drains with a real worker: it has all of
fetch, execute and commit, and what lies between them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import redis
from due import build_job
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.bench.tasks import build_app
from jobistemer.core.planning.plan import plan
from jobistemer.core.runs.settle import SUCCEEDED, Outcome
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import AttemptState
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.calls import bulk_claim, bulk_commit, streams
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.worker import Worker

BUNDLE = 100


class Meter:
    """Prints what a step cost for each of what it handled."""

    def __init__(self, server: BenchServer) -> None:
        self._server = server
        self._client = client_of(server.url)

    def measure(self, name: str, number: int, step: Callable[[], Any]) -> Any:
        before, bytes_before = self._read_stats()
        theirs, own = self._server.cpu_seconds(), time.process_time()
        found = step()
        own, theirs = time.process_time() - own, self._server.cpu_seconds() - theirs
        after, bytes_after = self._read_stats()
        inner, usec = 0, 0.0
        for command, stats in after.items():
            known = before.get(command, {"calls": 0, "usec": 0})
            calls, spent = stats["calls"] - known["calls"], stats["usec"] - known["usec"]
            inner += 0 if "evalsha" in command or "info" in command else calls
            usec += spent if command in CLIENT_COMMANDS else 0
        received, sent = (b - a for a, b in zip(bytes_before, bytes_after, strict=True))
        cells = (inner / number, received / number, sent / number, usec / number)
        print(f"{name:26}" + "".join(f"{cell:10.1f}" for cell in cells), end="")
        print(f"{theirs / number * 1e6:12.1f}{own / number * 1e6:12.1f}")
        return found

    def _read_stats(self) -> tuple[dict[str, Any], tuple[int, int]]:
        stats = self._client.info("stats")
        return self._client.info("commandstats"), (stats["total_net_input_bytes"], stats["total_net_output_bytes"])


CLIENT_COMMANDS = {"cmdstat_evalsha", "cmdstat_xreadgroup", "cmdstat_eval"}
"""The commands that clients send here; the others are inside of scripts and their time is in that of the script."""


def build_ended(delivery: Any) -> EndedAttempt:
    now = int(time.time() * 1000)
    return EndedAttempt(delivery, Outcome(AttemptState.SUCCEEDED), SUCCEEDED, "worker-1", now, now, "attempt")


def call_in_bundles(items: list[Any], each: Callable[[list[Any]], Any]) -> None:
    for at in range(0, len(items), BUNDLE):
        each(items[at : at + BUNDLE])


def measure_run(meter: Meter, app: Jobistemer, number: int) -> None:
    database = app.namespace.shards[0]
    meter.measure("enqueue in bulk", number, lambda: app.enqueue_many(app.request("plain") for _ in range(number)))
    reader = streams.StreamReader(database, "worker-1")

    def fetch() -> list[Any]:
        found = []
        for _ in range(0, number, BUNDLE):
            for key, entries in reader.fetch(["default:5"], BUNDLE, block=False):
                found += [delivery for delivery, _ in streams.read_deliveries(key, entries) if delivery is not None]
        return found

    deliveries = meter.measure("fetch", number, fetch)
    over = [build_ended(delivery) for delivery in deliveries]
    meter.measure(
        "commit, plain success",
        number,
        lambda: call_in_bundles(over, lambda part: database.call(bulk_commit.commit_successes(database.keys, part))),
    )


def measure_worker(meter: Meter, app: Jobistemer, number: int) -> None:
    app.enqueue_many(app.request("plain") for _ in range(number))
    settings = WorkerSettings(concurrency=8, burst=True)
    meter.measure(
        "loop: all of a worker", number, lambda: Worker(app.namespace, app.handlers, settings).run(Shutdown())
    )


def measure_claim(meter: Meter, app: Jobistemer, number: int) -> None:
    database = app.namespace.shards[0]
    definitions = [build_job(each) for each in range(number)]
    meter.measure("register a job", number, lambda: app.control.register_all(definitions))
    at = app.control.find(definitions[0].name).cursor

    def prepare() -> list[Any]:
        planned = [(each, plan(each, at, (at + 1) * 1000, 2)[0]) for each in definitions]
        return [bulk_claim.prepare_claim(database.keys, each, 1, decision) for each, decision in planned]

    ready = meter.measure("plan and prepare a claim", number, prepare)
    meter.measure(
        "claim",
        number,
        lambda: call_in_bundles(
            ready, lambda part: database.call(bulk_claim.claim_occurrences(database.keys, part, at * 1000))
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20_000)
    args = parser.parse_args()
    print(
        f"{'for each':26}{'commands':>10}{'B in':>10}{'B out':>10}{'script µs':>10}{'server µs':>12}{'client µs':>12}"
    )
    with BenchServer() as server:
        meter, app = Meter(server), build_app(server.url)
        # Scripts are loaded and connections made before anything is measured.
        warm_up(app)
        measure_run(meter, app, args.runs)
        measure_worker(meter, app, args.runs)
        measure_claim(meter, app, args.runs)
        client: redis.Redis = client_of(server.url)
        client.flushall()


def warm_up(app: Jobistemer) -> None:
    app.enqueue_many(app.request("plain") for _ in range(10))
    Worker(app.namespace, app.handlers, WorkerSettings(burst=True)).run(Shutdown())


if __name__ == "__main__":
    main()
