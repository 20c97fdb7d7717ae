"""How evenly jobs are spread over shards, and what finding them costs in commands.

python benchmarks/spread.py [--jobs 1000]

Jobs of several patterns of names are registered on an empty namespace: in one deploy, in ten, and one by one by as many
processes. The shards are counted on the server; `by hash` is what the ids alone would make of it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial

import redis
from server import BenchServer, client_of

from jobistemer import Jobistemer
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.schedules import Cron

NAMES = ["job_{}", "report-{:04}", "customer_{}_sync", "tenant{}.nightly"]
SHARDS = [2, 4, 8, 16, 32, 64]


def build_jobs(name: str, count: int) -> list[Job]:
    found = (name.format(number) for number in range(count))
    return [Job(name=each, schedule=Cron("0 3 * * *"), tasks=(Task("work", "work"),)) for each in found]


def count_registered(client: redis.Redis, url: str, shards: int, jobs: list[Job], at_once: int) -> list[int]:
    """How many jobs each shard has, after processes have registered so many each."""
    client.flushall()
    for start in range(0, len(jobs), at_once):
        app = Jobistemer(url, shards=shards)
        app.control.register_all(jobs[start : start + at_once])
        app.namespace.close()
    return [shard.ask("ZCARD", shard.keys.due) for shard in Jobistemer(url).namespace.shards]


def count_hashed(url: str, jobs: list[Job]) -> list[int]:
    namespace = Jobistemer(url).namespace
    counted = Counter(namespace.for_id(job.id).keys.shard for job in jobs)
    return [counted[shard] for shard in range(len(namespace.shards))]


def format_counts(counts: list[int]) -> str:
    return f"{max(counts):4}/{min(counts):<4} {max(counts) / max(min(counts), 1):5.3f}"


def print_spread(client: redis.Redis, url: str, count: int) -> None:
    print(f"{count} jobs, most/fewest on a shard and their ratio")
    print(f"{'shards':>6}  {'names':18} {'by hash':>15} {'one deploy':>17} {'ten deploys':>17} {'one by one':>17}")
    for shards in SHARDS:
        for name in NAMES:
            jobs = build_jobs(name, count)
            ways = [count_registered(client, url, shards, jobs, at_once) for at_once in (count, max(1, count // 10), 1)]
            print(
                f"{shards:6}  {name:18} {'   '.join(map(format_counts, (count_hashed(url, jobs), *ways)))}", flush=True
            )


def count_commands(client: redis.Redis, act: Callable[[], object]) -> int:
    """How many commands the server executes meanwhile, those that scripts call included."""
    client.config_resetstat()
    act()
    return sum(each["calls"] for each in client.info("commandstats").values())


def print_commands(client: redis.Redis, url: str) -> None:
    print("\ncommands that the server executes, in scripts too")
    print(f"{'shards':>6} {'a new job':>12} {'one of 100 new':>16} {'one of 100 unchanged':>22} {'pause':>8}")
    jobs = build_jobs("job_{}", 101)

    def connected() -> Jobistemer:
        app = Jobistemer(url)
        app.namespace.shards[0].ask("TIME")
        return app

    for shards in (1, 4, 16):
        count_registered(client, url, shards, build_jobs("other_{}", 50), 50)
        apps = [connected() for _ in range(4)]
        # The server has the script.
        apps[0].control.pause("other_0")
        alone = count_commands(client, partial(apps[0].control.register, jobs[100]))
        new, again = (count_commands(client, partial(app.control.register_all, jobs[:100])) for app in apps[1:3])
        pause = count_commands(client, partial(apps[3].control.pause, "job_5"))
        print(f"{shards:6} {alone:12} {new / 100:16.2f} {again / 100:22.2f} {pause:8}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1000)
    asked = parser.parse_args()
    with BenchServer() as server:
        client = client_of(server.url)
        print_spread(client, server.url, asked.jobs)
        print_commands(client, server.url)


if __name__ == "__main__":
    main()
