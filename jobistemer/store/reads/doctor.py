"""Check a namespace and its server for faults; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.planning.plan import NEVER
from jobistemer.core.reads.cluster_health import check_shard_spread, check_slots
from jobistemer.core.reads.findings import Finding, at_node, check_server, fault, fine, warning
from jobistemer.core.text import format_duration
from jobistemer.core.unreadable import to_text
from jobistemer.store.calls.streams import find_consumers
from jobistemer.store.database import Database
from jobistemer.store.keys import GROUP, Keys, split_place
from jobistemer.store.namespace import Namespace, confirm_shards
from jobistemer.store.quarantine import list_quarantined
from jobistemer.store.reads import queues
from jobistemer.store.reads.doctor_cluster import diagnose_nodes, offset_ms, read_info
from jobistemer.store.reads.leaked_keys import find_leaked_keys
from jobistemer.store.reads.namespaces import compare_namespaces
from jobistemer.store.reads.stream_stats import list_places
from jobistemer.store.reads.unreadable import find_unreadable
from jobistemer.store.server.cluster_map import Cluster

STUCK_AFTER_MS: Final = 60_000
"""After so long (ms) past its time, a job or a delayed run that no ticker has fired counts as stuck."""
SHARD_AWAY: Final = "its jobs and runs wait until its node is back, or a replica has taken over"
REFUSED_REMEDY: Final = "give the user of this command the rule that `jobistemer acl operator` prints"
FOREIGN_REMEDY: Final = (
    "nothing here reads or removes it: let that program use a prefix of its own, or give Jobistemer another namespace; "
    "`redis-cli TYPE '{key}'` shows what it is"
)
MAX_SHOWN: Final = 20
"""How many findings of one kind are listed."""


def diagnose(namespace: Namespace, most_keys: int) -> list[Finding]:
    """Return all findings about a server or a cluster, and about each shard.

    most_keys: how many keys of each shard are checked. Raises NotConnected; on a cluster only if no node answers.
    """
    if namespace.cluster is not None:
        return [*diagnose_nodes(namespace, namespace.cluster), *_check_cluster(namespace, namespace.cluster, most_keys)]
    shards = namespace.shards
    found = [*_check_fixed(namespace)]
    found += [finding for shard in shards for finding in _check_shard(shard, most_keys)]
    beside = compare_namespaces(namespace)
    return [*_check_server(shards[0]), beside, *found, *_check_placement(namespace, shards, most_keys)]


def _check_fixed(namespace: Namespace) -> Iterator[Finding]:
    """Find processes that are at work where no number of shards is stored: their server was emptied."""
    if confirm_shards(namespace) is not None:
        return
    database = namespace.shards[0]
    if queues.list_workers([database]) or queues.list_tickers([database]):
        shown = f"{namespace} has workers or tickers, and no number of shards: its server was emptied"
        yield fault("shards", shown, "run `jobistemer deploy`, and let the server keep its data on disk")


def _check_server(database: Database) -> Iterator[Finding]:
    database.read_clock()
    info = read_info(database)
    if isinstance(info, Finding):
        yield info
        return
    yield from check_server(info, offset_ms(database))
    if int(info.get("cluster_enabled", 0)):
        yield check_slots(database.ask("CLUSTER INFO"))


def _check_cluster(namespace: Namespace, cluster: Cluster, most_keys: int) -> Iterator[Finding]:
    try:
        shards = namespace.shards
    except NotConnected as error:
        yield fault("shards", f"the settings of {namespace.name} cannot be read: {error.__cause__}", SHARD_AWAY)
        return
    placed: dict[str, list[int]] = {f"{host}:{port}": [] for host, port in cluster.nodes()}
    for shard in shards:
        placed.setdefault(shard.node(), []).append(shard.keys.shard)
    yield from check_shard_spread(placed)
    yield from _check_shards(namespace, shards, most_keys)


def _check_shards(namespace: Namespace, shards: Sequence[Database], most_keys: int) -> Iterator[Finding]:
    """Check the shards whose nodes answer, and report the shards whose nodes do not."""
    reached = []
    for shard in shards:
        try:
            shard.read_clock()
            yield from at_node(shard.node(), list(_check_shard(shard, most_keys)))
            reached.append(shard)
        except NotConnected as error:
            shown = f"{shard.keys.tag} cannot be checked: {error.__cause__}"
            yield from at_node(shard.node(), [fault("shards", shown, SHARD_AWAY)])
    yield from _check_placement(namespace, reached, most_keys)


def _check_shard(database: Database, most_keys: int) -> Iterator[Finding]:
    checks = (
        _check_due(database),
        _check_queues(database),
        _check_time_outs(database),
        _check_entries(database),
        _check_keys(database, most_keys),
        _check_readable(database),
    )
    for check, found in zip(("due", "workers", "time-outs", "entries", "keys", "readable"), checks, strict=True):
        try:
            wrong = list(islice(found, MAX_SHOWN))
        except ServerRefused as error:
            # What cannot be looked at is no reason to say nothing of the rest, and not fine either.
            wrong = [fault(check, f"{database.keys.tag} cannot be looked at: {error}", REFUSED_REMEDY)]
        yield from wrong or [fine(check, f"{database.keys.tag}: nothing wrong")]


def _check_placement(namespace: Namespace, shards: Sequence[Database], most_keys: int) -> list[Finding]:
    """Find jobs on another shard than the one that commands ask for them.

    Such a job goes on firing, and no command can change or remove it.
    """
    if len(namespace.shards) == 1:
        return []
    wrong: list[Finding] = []
    for shard in shards:
        jobs = [to_text(job) for job in shard.read("ZRANGE", shard.keys.due, 0, most_keys - 1)] if most_keys else []
        strays = [job for job, placed in zip(jobs, namespace.for_jobs(jobs), strict=True) if placed is not shard]
        wrong += at_node(shard.node(), [_stray_finding(shard.keys, job) for job in strays])
    return wrong[:MAX_SHOWN] or [fine("homes", "each job is on the shard where commands look for it")]


def _stray_finding(keys: Keys, job: str) -> Finding:
    return fault(
        "homes",
        f"{job} is on {keys.tag}, where no command looks for it: a failover has lost the record of its shard",
        "deploy the app that declares it. If this is reported again after that, remove the stray copy: "
        f"`redis-cli ZREM {keys.due} {job}`, and deploy once more",
    )


def _check_due(database: Database) -> Iterator[Finding]:
    """Find jobs and delayed runs that have been due for long, which no ticker has fired."""
    now_ms, keys = database.clock.now_ms(), database.keys
    jobs = database.read(
        "ZRANGEBYSCORE", keys.due, "-inf", min(now_ms - STUCK_AFTER_MS, NEVER * 1000), "LIMIT", 0, MAX_SHOWN
    )
    runs = database.read("ZRANGEBYSCORE", keys.delayed, "-inf", now_ms - STUCK_AFTER_MS, "LIMIT", 0, MAX_SHOWN)
    tickers = [each for each in queues.list_tickers([database]) if queues.is_present(each, now_ms)]
    remedy = (
        "read the log of the ticker; `jobistemer ticker list`"
        if tickers
        else "no ticker runs: start `jobistemer-ticker`"
    )
    for job in jobs:
        yield fault("due", f"{to_text(job)} has been due for more than a minute", remedy)
    for run in runs:
        yield fault("due", f"delayed run {to_text(run)} has been due for more than a minute", remedy)


def _check_queues(database: Database) -> Iterator[Finding]:
    """Find queues in which runs wait, and which no worker serves."""
    served = queues.find_served_queues(queues.list_workers([database]), database.clock.now_ms())
    for queue in queues.list_queues([database]):
        if queue.waiting and queue.name not in served:
            remedy = f"no worker serves this queue: start `jobistemer-worker -Q {queue.name}`"
            yield warning("workers", f"{queue.waiting} runs wait in {queue.name}", remedy)


def _check_time_outs(database: Database) -> Iterator[Finding]:
    """Find tasks whose attempts have come near their time-out, as the workers of the last day tell."""
    if database.keys.shard:
        # A worker tells it to every shard.
        return
    nearest: dict[str, tuple[int, int]] = {}
    for worker in queues.list_workers([database]):
        for task, (ms, limit_ms) in worker.near_timeout.items():
            known = nearest.get(task)
            if known is None or ms * known[1] > known[0] * limit_ms:
                nearest[task] = (ms, limit_ms)
    for task, (ms, limit_ms) in sorted(nearest.items()):
        yield warning(
            "time-outs",
            f"an attempt of {task} has run for {format_duration(ms)} of the {format_duration(limit_ms)} that it may",
            "give the task a longer `timeout=`, or less to do: an attempt that reaches it is ended",
        )


def _check_entries(database: Database) -> Iterator[Finding]:
    """Find entries that are pending for an absent worker, and that no other worker has taken over."""
    now_ms = database.clock.now_ms()
    present = {each.id for each in queues.list_workers([database]) if queues.is_present(each, now_ms)}
    for where in list_places(database):
        consumers = find_consumers(database, where)
        for consumer in sorted(name for name, pending in consumers.items() if pending and name not in present):
            (first,) = database.read("XPENDING", database.keys.stream(where), GROUP, "-", "+", 1, consumer) or [None]
            entry = to_text(first[0]) if first else "?"
            yield fault(
                "entries",
                f"entry {entry} of queue {split_place(where)[0]} is with worker {consumer}, which has been silent for "
                "more than a minute",
                "any living worker takes it over within its lease: start one, and a ticker, which finds entries of "
                "unknown workers",
            )


def _check_readable(database: Database) -> Iterator[Finding]:
    """Find what cannot be read, and what was put aside for that reason."""
    for each in find_unreadable(database):
        remedy = (
            "deploy the app that declares the job, or `jobistemer job remove` it; a newer version may read it"
            if ":job:" in each.key
            else "a ticker or a worker puts it aside: is one running?"
        )
        yield fault("readable", str(each), remedy)
    for row in list_quarantined(database, MAX_SHOWN):
        what = f" {to_text(row.member)!r}" if row.member else ""
        remedy = "`jobistemer quarantine list`; restore it, or purge it"
        yield warning("quarantine", f"{row.key}{what} was put aside: {row.reason}", remedy)


def _check_keys(database: Database, most_keys: int) -> Iterator[Finding]:
    for key, why in find_leaked_keys(database, most_keys):
        if why:
            remedy = "a fault of Jobistemer, please report it with this line; DEL removes it"
            yield fault("keys", f"{key}: {why}", remedy)
        else:
            shown = f"{key}: another program, or a newer release, has written this key under our prefix"
            yield warning("keys", shown, FOREIGN_REMEDY.format(key=key))
