"""Chores: what tickers do for one job at a time, such as an update whose time has come or a step of a backfill.

A chore is a member of one sorted set per shard, scored with the ms at which it is due:

    update:<job id>             register the version of a job that was put off
    retire:<version>:<job id>   cancel the occurrences that are live under versions before this one
    replace:<instant>:<job id>  cancel the occurrences that are due before this instant (Unix seconds)
    backfill:<backfill id>      take the next step of a backfill

The names are written and read here. Three scripts spell a name themselves: `register_job` (retire, with the version
that only the script knows, and update), `remove_job` (update), and `claim_occurrence` (replace, when the overlap policy
says so).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from jobistemer.core.unreadable import Unreadable
from jobistemer.store.database import Database
from jobistemer.store.reading import read_members, read_scored


class ChoreKind(StrEnum):
    """The kind of a chore, the first part of its name."""

    UPDATE = "update"
    RETIRE = "retire"
    REPLACE = "replace"
    BACKFILL = "backfill"


class Chore(NamedTuple):
    """A chore: its kind, the id of the job or backfill, and the version or instant where the kind has one."""

    kind: ChoreKind
    subject: str
    number: int = 0


def update_chore(job_id: str) -> str:
    """Return the name of the chore that registers a version that was put off."""
    return f"{ChoreKind.UPDATE}:{job_id}"


def backfill_chore(backfill_id: str) -> str:
    """Return the name of the chore that takes the steps of a backfill."""
    return f"{ChoreKind.BACKFILL}:{backfill_id}"


def read_chore(name: str) -> Chore | None:
    """Read the name of a chore. Returns None for a kind that a newer version has added."""
    kind, _, rest = name.partition(":")
    if kind not in ChoreKind.__members__.values():
        return None
    if kind in (ChoreKind.UPDATE, ChoreKind.BACKFILL):
        return Chore(ChoreKind(kind), rest)
    number, _, subject = rest.partition(":")
    return Chore(ChoreKind(kind), subject, int(number))


def list_chores(database: Database, limit: int, bad: list[Unreadable]) -> list[tuple[int, str]]:
    """Return the names of the first `limit` chores with the ms at which they are due, the earliest first.

    bad: gets those that cannot be read.
    """
    flat = database.ask("ZRANGE", database.keys.chores, 0, limit - 1, "WITHSCORES")
    return [(at, name) for name, at in read_scored(database.keys.chores, flat, bad, _read_name)]


def list_backfills(database: Database) -> list[str]:
    """Return the ids of the backfills that tickers work on."""
    prefix = backfill_chore("")
    names = read_members(database.keys.chores, database.read("ZRANGE", database.keys.chores, 0, -1), [])
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def postpone_chore(database: Database, name: str, at_ms: int) -> None:
    """Put off a chore until `at_ms`, unless it is gone (XX) or due later already (GT)."""
    database.ask("ZADD", database.keys.chores, "XX", "GT", at_ms, name)


def reschedule_chore(database: Database, name: str, at_ms: int) -> None:
    """Set the ms at which a chore is due, earlier or later, unless it is gone (XX)."""
    database.ask("ZADD", database.keys.chores, "XX", at_ms, name)


def drop_chore(database: Database, name: str) -> None:
    """Remove a chore that is done."""
    database.ask("ZREM", database.keys.chores, name)


def _read_name(member: bytes) -> str:
    """Decode the name of a chore. Raises ValueError for one that has the form of none."""
    name = member.decode()
    if not name.partition(":")[2]:
        raise ValueError("it names no job or backfill")
    read_chore(name)
    return name
