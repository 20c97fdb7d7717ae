"""A million jobs that are not due: what they cost in memory, what an idle ticker costs, how soon one starts.

    python benchmarks/million_jobs.py [--jobs 1000000] [--due 1000] [--seconds 10]

Then `--due` more jobs, due every second, are registered beside them: they have to be on time as if they were alone.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

import redis
from due import build_job as due_job
from latency import cpu_seconds, start, wait_until
from registering import register_all
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.bench.tasks import read_lateness
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.schedules import Cron

FAR = Cron("0 0 1 1 *")
DECLARED_TOGETHER = 20_000


def build_far_job(number: int) -> Job:
    name = f"far-{number}"
    return Job(name, FAR, (Task(name, "far"),))


def count_commands(client: redis.Redis, seconds: float) -> int:
    """How many commands the server is sent within some seconds; those inside of scripts are not."""
    seen = 0
    with client.monitor() as monitor:
        end = time.time() + seconds
        # The connection that asks is heard as well: it ends the wait where nobody else says a word.
        threading.Timer(seconds, client.ping).start()
        for command in monitor.listen():
            if command["time"] >= end or command["command"] == "PING":
                return seen
            seen += command["client_type"] != "lua"
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=10)
    args = parser.parse_args()
    with BenchServer() as server:
        client, app = client_of(server.url), Jobistemer(server.url)
        database = app.namespace.shards[0]
        began, own, theirs = time.perf_counter(), time.process_time(), server.cpu_seconds()
        for start_at in range(0, args.jobs, DECLARED_TOGETHER):
            together = range(start_at, min(start_at + DECLARED_TOGETHER, args.jobs))
            app.control.register_all([build_far_job(number) for number in together], owner="benchmark")
        took = time.perf_counter() - began
        print(f"register: {took:.1f} s, {args.jobs / took:.0f}/s, CPU µs per job:", end=" ")
        print(f"client {(time.process_time() - own) / args.jobs * 1e6:.1f}", end=", ")
        print(f"server {(server.cpu_seconds() - theirs) / args.jobs * 1e6:.1f}")
        memory = client.info("memory")["used_memory"] - server.empty_bytes
        print(f"memory: {memory / args.jobs:.0f} bytes per job")

        began = time.perf_counter()
        ticker = start("ticker", server.url)
        wait_until(lambda: client.zcard("{jobistemer:0}:tickers") == 1)
        print(f"start of a ticker until its first beat: {time.perf_counter() - began:.2f} s")
        time.sleep(2)
        used, theirs = cpu_seconds(ticker.pid), server.cpu_seconds()
        calls = count_commands(client, args.seconds)
        print(f"idle ticker: {(cpu_seconds(ticker.pid) - used) / args.seconds * 100:.2f} % of a core,", end=" ")
        print(
            f"server {(server.cpu_seconds() - theirs) / args.seconds * 100:.2f} %, {calls / args.seconds:.1f} commands/s"
        )

        begin = int(time.time()) + 5
        register_all(database, map(due_job, range(args.due)), begin)
        used, theirs = cpu_seconds(ticker.pid), server.cpu_seconds()
        time.sleep(begin + 3 + args.seconds - time.time())
        fired = args.due * (args.seconds + 2)
        print(f"fire: CPU µs per instant: ticker {(cpu_seconds(ticker.pid) - used) / fired * 1e6:.1f},", end=" ")
        print(f"server {(server.cpu_seconds() - theirs) / fired * 1e6:.1f};", end=" ")
        late = read_lateness(
            app.namespace, (due_job(each).name for each in range(args.due)), range(begin + 2, begin + 2 + args.seconds)
        )
        print(f"fired {len(late) / args.due / args.seconds:.2%}, ms late:", end=" ")
        print(f"p50 {statistics.median(late):.0f}, p99 {statistics.quantiles(late, n=100)[98]:.0f}, max {max(late)}")
        ticker.terminate()
        ticker.wait()


if __name__ == "__main__":
    main()
