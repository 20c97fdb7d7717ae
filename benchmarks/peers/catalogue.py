"""The peers: how each is installed, started and tuned, what is still unfinished, and what it guarantees meanwhile.

An adapter in `adapters/` has the peer's tasks and its way to enqueue; everything that the harness must know is here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from benchmarks.peers.paths import BENCH

Unfinished = Callable[[redis.Redis], int]
Commands = Callable[[Path, str, int], list[list[str]]]
"""(folder of programs, setting, worker processes) -> the commands to start."""


@dataclass(frozen=True)
class Peer:
    name: str
    packages: Sequence[str]
    """What pip installs, or npm where `node` is set."""
    tuned_packages: Sequence[str] = ()
    distribution: str = ""
    """Whose version is shown."""
    node: bool = False
    tasks: Sequence[str] = ("plain",)
    bulk: str = ""
    """The peer's bulk call, if it has one."""
    worker: Commands | None = None
    scheduler: Commands | None = None
    """What runs beside one worker so that schedules fire; empty where the worker does it."""
    schedules: bool = True
    seconds: bool = True
    """Whether a schedule can be due every second."""
    aligned: bool = True
    """Whether schedules are due at whole seconds; else lateness is counted from each schedule's earliest phase."""
    registered: bool = False
    """Whether schedules are stored before anything starts."""
    most_schedules: int = 10_000
    unfinished: Unfinished = lambda client: 0
    rate: dict[str, int] = field(default_factory=dict)
    """Runs a second to expect at first, by setting: the length of a backlog follows from it."""
    tuned_environment: dict[str, str] = field(default_factory=dict)
    defaults: str = ""
    tuning: Sequence[tuple[str, str]] = ()
    """(setting, why)"""
    guarantee: dict[str, str] = field(default_factory=dict)

    def programs(self, setting: str) -> Path:
        suffix = "-tuned" if setting == "tuned" and self.tuned_packages else ""
        return BENCH / f"{self.name}{suffix}" / ("" if self.node else "bin")


def per_process(*arguments: str) -> Commands:
    """One worker command, started as often as there are worker processes."""

    def commands(programs: Path, setting: str, processes: int) -> list[list[str]]:
        return [[str(programs / arguments[0]), *arguments[1:]] for _ in range(processes)]

    return commands


def _length(*names: str) -> Unfinished:
    kinds: dict[str, Callable[[Any, str], int]] = {
        "list": lambda client, key: client.llen(key),
        "hash": lambda client, key: client.hlen(key),
        "zset": lambda client, key: client.zcard(key),
        "stream": lambda client, key: client.xlen(key),
    }
    parts = [name.split(" ", 1) for name in names]
    return lambda client: sum(int(kinds[kind](client, key)) for kind, key in parts)


def _group(key: str) -> Unfinished:
    def unfinished(client: redis.Redis) -> int:
        if not client.exists(key):
            return 0
        groups: Any = client.xinfo_groups(key)
        return sum(group["pending"] + (group["lag"] or 0) for group in groups)

    return unfinished


def _celery(programs: Path, setting: str, processes: int) -> list[list[str]]:
    lean = (
        ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
        if setting == "tuned"
        else ["-l", "INFO"]
    )
    pool = ["-P", "threads", "-c", "8"] if setting == "tuned" else ["-c", "1"]
    return [
        [str(programs / "celery"), "-A", "on_celery", "worker", "-n", f"w{number}@bench", *pool, *lean]
        for number in range(processes)
    ]


def _dramatiq(programs: Path, setting: str, processes: int) -> list[list[str]]:
    return [[str(programs / "dramatiq"), "on_dramatiq", "-p", str(processes)]]


def _rq(programs: Path, setting: str, processes: int) -> list[list[str]]:
    lean = ["-w", "rq.worker.SimpleWorker", "--quiet", "--disable-job-desc-logging"] if setting == "tuned" else []
    return [[str(programs / "rq"), "worker", *lean] for _ in range(processes)]


def _rq_cron(programs: Path, setting: str, processes: int) -> list[list[str]]:
    return [[str(programs / "rq"), "cron", "rq_schedules.py", "-l", "WARNING"]]


def _huey(programs: Path, setting: str, processes: int) -> list[list[str]]:
    lean = ["--quiet", "--disable-health-check"] if setting == "tuned" else []
    return [[str(programs / "huey_consumer"), "on_huey.huey", *lean] for _ in range(processes)]


def _taskiq(programs: Path, setting: str, processes: int) -> list[list[str]]:
    lean = (
        ["--max-async-tasks", "200", "--max-prefetch", "1000", "--log-level", "WARNING"] if setting == "tuned" else []
    )
    return [[str(programs / "taskiq"), "worker", "on_taskiq:broker", "-w", str(processes), *lean]]


def _docket(programs: Path, setting: str, processes: int) -> list[list[str]]:
    if setting == "tuned":
        return [[str(programs / "python"), "docket_worker.py", f"w{number}"] for number in range(processes)]
    command = [str(programs / "docket"), "worker", "--docket", "bench", "--tasks", "on_docket:tasks"]
    return [[*command, "--name", f"w{number}"] for number in range(processes)]


def _bullmq(programs: Path, setting: str, processes: int) -> list[list[str]]:
    return [["node", "on_bullmq.mjs", "worker"] for _ in range(processes)]


def _three_tickers(programs: Path, setting: str, processes: int) -> list[list[str]]:
    return [[str(programs / "jobistemer-ticker"), "--log-level", "warning"] for _ in range(3)]


JOBISTEMER = Peer(
    "jobistemer",
    ["-e ."],
    distribution="jobistemer",
    tasks=("plain", "coroutine"),
    bulk="enqueue_many",
    worker=per_process("jobistemer-worker", "on_jobistemer:app", "-c", "8"),
    scheduler=_three_tickers,
    registered=True,
    most_schedules=1_000_000,
    unfinished=_length("stream {jobistemer:0}:stream:default:5"),
    rate={"default": 65_000},
    defaults="`jobistemer-worker -c 8`; three tickers for schedules",
    guarantee={
        "delivery": "at least once; a late outcome of a lost worker is refused",
        "results": "each, kept a day",
        "audit": "each run and each attempt: worker, times, outcome, reason; each occurrence of a schedule",
    },
)

PEERS = (
    JOBISTEMER,
    Peer(
        "celery",
        ["celery[redis]"],
        ["celery[redis]", "hiredis"],
        "celery",
        worker=_celery,
        scheduler=per_process("celery", "-A", "on_celery", "beat", "-s", "{scratch}/beat", "-l", "WARNING"),
        aligned=False,
        unfinished=_length("list celery", "hash unacked"),
        rate={"default": 1500, "tuned": 2000},
        defaults="`celery worker -c 1` (prefork, one child), results in Redis",
        tuning=(
            ("`-P threads -c 8`", "no pipe between a parent and its children"),
            ("`worker_prefetch_multiplier=128`", "fewer waits for the next message"),
            ("`task_ignore_result`", "one write less a run; no result"),
            (
                "`--without-gossip --without-mingle --without-heartbeat`, no events, no rate limits, `-l WARNING`",
                "less to do beside the work",
            ),
            ("`hiredis`", "the parser in C"),
        ),
        guarantee={
            "delivery": "at most once as it comes: acknowledged before the task runs (`acks_late` for the other)",
            "results": "each, kept a day; tuned: none",
            "audit": "none (events, if something collects them)",
        },
    ),
    Peer(
        "dramatiq",
        ["dramatiq[redis]"],
        ["dramatiq[redis]", "hiredis"],
        "dramatiq",
        tasks=("plain", "coroutine"),
        worker=_dramatiq,
        schedules=False,
        unfinished=_length("hash dramatiq:default.msgs"),
        rate={"default": 2000, "tuned": 8000},
        tuned_environment={"dramatiq_queue_prefetch": "1000"},
        defaults="`dramatiq -p 1` (8 threads), all middleware",
        tuning=(
            ("`dramatiq_queue_prefetch=1000`", "a thousand messages for one fetch"),
            ("middleware: retries only", "no age, time limit, callbacks, pipelines, shutdown"),
            ("`maintenance_chance=100` of 1,000,000", "less upkeep in between"),
            ("`hiredis`", "the parser in C"),
        ),
        guarantee={"delivery": "at least once", "results": "none unless asked for", "audit": "none"},
    ),
    Peer(
        "rq",
        ["rq", "croniter"],
        ["rq", "croniter", "hiredis"],
        "rq",
        bulk="enqueue_many",
        worker=_rq,
        scheduler=_rq_cron,
        unfinished=_length("list rq:queue:default", "zset rq:wip:default"),
        rate={"default": 120, "tuned": 450},
        defaults="`rq worker`: a process forked for each job",
        tuning=(
            ("`-w rq.worker.SimpleWorker`", "no fork: a job can take its worker with it"),
            ("`result_ttl=0`", "no result kept"),
            ("`--quiet --disable-job-desc-logging`", "no lines for each job"),
            ("`hiredis`", "the parser in C"),
        ),
        guarantee={
            "delivery": "at most once: a job of a dead worker is marked failed",
            "results": "each, kept 500 s; tuned: none",
            "audit": "the job's hash, as long as its result",
        },
    ),
    Peer(
        "huey",
        ["huey", "redis"],
        ["huey", "redis", "hiredis"],
        "huey",
        worker=_huey,
        seconds=False,
        unfinished=_length("list huey.redis.bench"),
        rate={"default": 3000, "tuned": 8000},
        defaults="`huey_consumer` (one thread)",
        tuning=(
            ("`results=False`", "no result is stored"),
            ("`--quiet --disable-health-check`", "no lines for each run"),
            ("`hiredis`", "the parser in C"),
        ),
        guarantee={
            "delivery": "at most once: popped before it runs, lost with its worker",
            "results": "each that is not None; tuned: none",
            "audit": "none",
        },
    ),
    Peer(
        "arq",
        ["arq"],
        ["arq", "hiredis"],
        "arq",
        tasks=("coroutine",),
        worker=per_process("arq", "on_arq.Worker"),
        unfinished=_length("zset arq:queue"),
        rate={"default": 200, "tuned": 2500},
        defaults="`arq` (10 at a time, polls each 0.5 s)",
        tuning=(
            ("`poll_delay=0.01`", "looks for work a hundred times a second"),
            ("`max_jobs=100`, `queue_read_limit=1000`", "more for one look"),
            ("`keep_result=0`", "no result kept"),
            ("`hiredis`", "the parser in C"),
        ),
        guarantee={"delivery": "at least once", "results": "each, kept an hour; tuned: none", "audit": "none"},
    ),
    Peer(
        "saq",
        ["saq[redis,hiredis]", "croniter", "typing_extensions"],
        distribution="saq",
        tasks=("plain", "coroutine"),
        worker=per_process("saq", "on_saq.settings"),
        unfinished=_length("zset saq:default:incomplete"),
        rate={"default": 2500, "tuned": 2500},
        defaults="`saq` (10 at a time)",
        tuning=(
            ("`concurrency=100`", "more at a time"),
            ("`ttl=-1`", "no result kept"),
        ),
        guarantee={
            "delivery": "at least once, if swept",
            "results": "each, kept 10 minutes; tuned: none",
            "audit": "none",
        },
    ),
    Peer(
        "streaq",
        ["streaq"],
        ["streaq", "uvloop"],
        "streaq",
        tasks=("plain", "coroutine"),
        bulk="enqueue_many",
        worker=per_process("streaq", "run", "on_streaq:worker"),
        unfinished=_length("stream streaq:default:queues:normal"),
        rate={"default": 1500, "tuned": 1700},
        defaults="`streaq run` (16 at a time)",
        tuning=(
            ("`concurrency=100, prefetch=400`", "more for one fetch"),
            ("`ttl=0, silent=True`", "no result kept, no lines for each run"),
            ("`uvloop`", "a faster event loop"),
        ),
        guarantee={"delivery": "at least once", "results": "each, kept 5 minutes; tuned: none", "audit": "none"},
    ),
    Peer(
        "taskiq",
        ["taskiq", "taskiq-redis"],
        ["taskiq", "taskiq-redis", "hiredis", "uvloop"],
        "taskiq",
        tasks=("plain", "coroutine"),
        worker=_taskiq,
        scheduler=per_process("taskiq", "scheduler", "on_taskiq:scheduler", "--log-level", "WARNING"),
        unfinished=_group("taskiq"),
        rate={"default": 4000, "tuned": 5000},
        defaults="`taskiq worker -w 1` with RedisStreamBroker, no result store",
        tuning=(
            ("`--max-async-tasks 200 --max-prefetch 1000`, `xread_count=1000`", "more for one fetch"),
            ("`--log-level WARNING`", "no lines for each run"),
            ("`hiredis`, `uvloop`", "the parser in C, a faster event loop"),
        ),
        guarantee={
            "delivery": "at least once; the stream keeps every entry unless `maxlen` is set",
            "results": "none unless a store is added",
            "audit": "none",
        },
    ),
    Peer(
        "docket",
        ["pydocket"],
        ["pydocket", "hiredis"],
        "pydocket",
        tasks=("coroutine",),
        bulk="add_many",
        worker=_docket,
        registered=True,
        unfinished=_length("stream bench:stream"),
        rate={"default": 600, "tuned": 800},
        defaults="`docket worker` (10 at a time)",
        tuning=(
            (
                "`concurrency=50, message_batch=100`",
                "more for one fetch; at 100 at a time its pool of connections runs out",
            ),
            ("`minimum_check_interval` and `scheduling_resolution` 10 ms", "looks a hundred times a second"),
            ("`execution_ttl=0`", "no record kept of what has ended"),
            ("log level WARNING", "no lines for each run"),
            ("`hiredis`", "the parser in C"),
        ),
        guarantee={
            "delivery": "at least once",
            "results": "each that is not None, kept 15 minutes; tuned: none",
            "audit": "the last execution of a key, 15 minutes; tuned: none",
        },
    ),
    Peer(
        "bullmq",
        ["bullmq", "ioredis"],
        distribution="bullmq",
        node=True,
        tasks=("coroutine",),
        bulk="addBulk",
        worker=_bullmq,
        registered=True,
        unfinished=_length("list bull:bench:wait", "list bull:bench:active"),
        rate={"default": 6000, "tuned": 20_000},
        defaults="`new Worker(…)` (one at a time), finished jobs kept for ever",
        tuning=(
            ("`concurrency: 100`", "a hundred at a time"),
            ("`removeOnComplete: {count: 0}`", "a finished job is deleted with its result"),
        ),
        guarantee={
            "delivery": "at least once (stalled jobs come back)",
            "results": "each, for ever; tuned: none",
            "audit": "the job's hash, for ever; tuned: none",
        },
    ),
    Peer(
        "apscheduler",
        ["apscheduler>=3,<4", "redis"],
        distribution="apscheduler",
        tasks=(),
        worker=lambda programs, setting, processes: [],
        scheduler=per_process("python", "on_apscheduler.py"),
        registered=True,
        defaults="BlockingScheduler with RedisJobStore (10 threads)",
        guarantee={
            "delivery": "at most once; misfires over 1 s late are dropped",
            "results": "none",
            "audit": "none; one scheduler process only",
        },
    ),
)
NAMES = tuple(peer.name for peer in PEERS)
BY_NAME = {peer.name: peer for peer in PEERS}


def settings_of(peer: Peer) -> tuple[str, ...]:
    return ("default", "tuned") if peer.tuning else ("default",)
