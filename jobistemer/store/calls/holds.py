"""Holds: for a time the runs of one task, or the runs that count under one limit, wait; other runs go on."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core.jobs.limits import limit_name
from jobistemer.core.reads.summaries import Hold
from jobistemer.core.runs.message import Delivery, encode_message
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.reading import read_scored
from jobistemer.store.scripts import ScriptCall, script


def task_scope(task: str) -> str:
    """Return the name under which the runs of a task are held."""
    return limit_name(f"task/{task}")


def put_hold(shards: Sequence[Database], name: str, until_ms: int) -> None:
    """Hold the runs of a name until `until_ms`; runs that an earlier hold has put off wait until then as well."""
    for database in shards:
        database.ask_all(
            [
                ("ZREMRANGEBYSCORE", database.keys.holds, "-inf", database.clock.now_ms()),
                ("ZADD", database.keys.holds, until_ms, name),
            ]
        )
        _release_parked(database, name)


def release_hold(shards: Sequence[Database], name: str) -> bool:
    """End a hold now. Returns whether there was one."""
    ended = 0
    for database in shards:
        ended += database.ask("ZREM", database.keys.holds, name)
        _release_parked(database, name)
    return bool(ended)


def drop_ended_holds(database: Database) -> None:
    """Remove the holds of a shard that have ended by themselves."""
    database.ask("ZREMRANGEBYSCORE", database.keys.holds, "-inf", database.clock.now_ms())


def list_holds(shards: Sequence[Database]) -> list[Hold]:
    """Return the holds that have not ended, by name, each with the number of runs that it has put off."""
    found: dict[str, Hold] = {}
    for database in shards:
        flat = database.read("ZRANGEBYSCORE", database.keys.holds, f"({database.clock.now_ms()}", "+inf", "WITHSCORES")
        for name, until in read_scored(database.keys.holds, flat, []):
            parked = database.read("ZCARD", database.keys.parked(name))
            before = found.get(name)
            found[name] = Hold(name, until, parked + (before.parked if before else 0))
    return [found[name] for name in sorted(found)]


def hold_run(keys: Keys, delivery: Delivery, name: str, now_ms: int) -> ScriptCall:
    """Build the call that puts off a fetched run when its hold still exists."""
    message = delivery.message
    return script("hold_run")(
        (
            keys.holds,
            keys.parked(name),
            delivery.stream.decode(),
            keys.run(message.run),
            keys.delayed,
            keys.wake,
        ),
        (
            name,
            delivery.entry,
            message.run,
            place(message.queue, message.priority),
            encode_message(message),
            delivery.attempt,
            delivery.crashes,
            now_ms,
        ),
    )


def release_held(keys: Keys, name: str, now_ms: int) -> ScriptCall:
    """Build the call that makes up to a hundred runs due which a hold has put off."""
    return script("release_held")((keys.parked(name), keys.delayed, keys.wake), (now_ms,))


def _release_parked(database: Database, name: str) -> None:
    while database.call(release_held(database.keys, name, database.clock.now_ms())).values[0]:
        pass
