"""What a deployment costs: many new jobs, the same again unchanged, and one changed among them.

    python benchmarks/registering.py [--jobs 10000] [--every minute day second]

Each is planned and applied as `jobistemer deploy` does, in this process: the plan is what the command shows. Declaring
the jobs and starting Python are not counted. `register_all` below is for other benchmarks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.control.deploy import apply_deploy, plan_deploy
from jobistemer.core.jobs.job import Job, Task, fingerprint
from jobistemer.core.planning.plan import first_due
from jobistemer.core.schedules import Cron
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database

BATCH = 500
OWNER = "benchmark"
SCHEDULES = {"second": "* * * * * *", "minute": "* * * * *", "day": "0 3 * * *", "year": "0 0 1 1 *"}


def register_all(database: Database, definitions: Iterable[Job], cursor: int) -> None:
    """Register new jobs whose instants up to `cursor` (Unix seconds) count as decided."""
    now_ms = database.read_clock()
    waiting = iter(definitions)
    while batch := list(islice(waiting, BATCH)):
        calls = [jobs.register(database.keys, _build_registration(job, cursor, now_ms)) for job in batch]
        words = {reply.word for reply in database.call_all(calls)}
        assert words == {"CREATED"}, words


def _build_registration(job: Job, cursor: int, now_ms: int) -> jobs.JobRegistration:
    return jobs.JobRegistration(job, fingerprint(job), 0, cursor, first_due(job, cursor), now_ms, by="benchmark")


def deploy(server: BenchServer, app: Jobistemer, label: str, declared: Sequence[Job]) -> None:
    began, own, theirs = time.perf_counter(), time.process_time(), server.cpu_seconds()
    plan = plan_deploy(app.namespace, declared, OWNER)
    planned = time.perf_counter() - began
    words = {each.word for each in apply_deploy(app.control, plan, declared)}
    took = time.perf_counter() - began
    cpu, theirs = time.process_time() - own, server.cpu_seconds() - theirs
    print(f"{label}: {took:.2f} s, of which the plan {planned:.2f} s; ", end="")
    print(f"CPU of this process {cpu:.2f} s, of the server {theirs:.2f} s; {', '.join(sorted(words))}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--every", nargs="*", choices=SCHEDULES, default=["minute", "day"])
    args = parser.parse_args()
    with BenchServer() as server:
        for every in args.every:
            client_of(server.url).flushall()
            app, schedule = Jobistemer(server.url), Cron(SCHEDULES[every])
            names = [f"job-{number}" for number in range(args.jobs)]
            declared = [Job(name, schedule, (Task(name, "work"),)) for name in names]
            changed = [*declared[1:], msgspec.structs.replace(declared[0], schedule=Cron("30 4 * * *"))]
            head = f"{args.jobs:,} jobs, each {every}"
            deploy(server, app, f"{head}, new", declared)
            deploy(server, app, f"{head}, unchanged", declared)
            deploy(server, app, f"{head}, one changed", changed)


if __name__ == "__main__":
    main()
