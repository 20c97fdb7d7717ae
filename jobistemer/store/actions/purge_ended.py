"""Purge runs that ended long ago, before their retention is over, in steps that a busy server does not feel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from jobistemer.core import ids
from jobistemer.core.states import RunState
from jobistemer.core.unreadable import to_text
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.reading import read_number
from jobistemer.store.scripts import ScriptCall, script

PAGE: Final = 100
"""How many runs one script deletes, at most."""
PAGE_ATTEMPTS: Final = 200
"""How many attempts one script deletes, at most: they take the server 10 µs each."""
SCAN_PAGE: Final = 1_000
"""How many keys one step of the scan asks for."""
MAX_ATTEMPTS: Final = 20
"""How many attempts, the latest, are deleted with a run; those before expire by themselves."""


class Purge(NamedTuple):
    """What is purged: runs in `states` that ended at `before` (ms) or earlier; dead letters only with `dead`."""

    before: int
    states: frozenset[str]

    @property
    def letters(self) -> bool:
        """Return whether dead letters are purged, of which some have timed out."""
        return RunState.DEAD in self.states


class EndedRun(NamedTuple):
    """An ended run as the scan found it. attempt: the number of its last attempt, from 0."""

    id: str
    state: str
    occurrence: str
    attempt: int

    @property
    def attempts(self) -> range:
        """The numbers of its attempts that are deleted with it."""
        return range(max(0, self.attempt + 1 - MAX_ATTEMPTS), max(0, self.attempt + 1))


def find_purgeable(database: Database, purge: Purge) -> Iterator[list[EndedRun]]:
    """Yield the runs of a shard that may be purged, up to PAGE at a time that have up to PAGE_ATTEMPTS together.

    The scan goes on between two pages. Runs that end or expire meanwhile may be among them or not.
    Raises NotConnected or ServerRefused.
    """
    page, attempts = list[EndedRun](), 0
    for keys in _scan_runs(database):
        for run in _choose(database, keys, purge):
            if len(page) == PAGE or attempts + len(run.attempts) > PAGE_ATTEMPTS:
                yield page
                page, attempts = [], 0
            page.append(run)
            attempts += len(run.attempts)
    if page:
        yield page


def purge_page(database: Database, purge: Purge, page: Sequence[EndedRun]) -> list[EndedRun]:
    """Delete the runs of a page that still may be purged. Returns those that are gone.

    Raises NotConnected or ServerRefused.
    """
    left = frozenset(database.call(purge_ended(database.keys, purge, page)).values)
    return [run for position, run in enumerate(page[:PAGE], 1) if position not in left]


def purge_ended(keys: Keys, purge: Purge, runs: Sequence[EndedRun]) -> ScriptCall:
    """Build the call that deletes a page of runs, if they still may be purged."""
    names, facts = [keys.dead], [purge.before, f" {' '.join(sorted(purge.states))} ", int(purge.letters)]
    for run in runs[:PAGE]:
        attempts = [ids.attempt_id(run.id, number) for number in run.attempts]
        occurrence = keys.occurrence(run.occurrence) if run.occurrence else keys.nothing
        names += [keys.run(run.id), keys.steps(run.id), occurrence]
        names += [name for attempt in attempts for name in (keys.attempt(attempt), keys.log(attempt))]
        facts += [run.id, len(attempts)]
    return script("purge_ended")(tuple(names), tuple(facts))


def _scan_runs(database: Database) -> Iterator[list[str]]:
    cursor: bytes | int = b"0"
    while True:
        cursor, found = database.ask("SCAN", cursor, "MATCH", f"{database.keys.run_prefix}*", "COUNT", SCAN_PAGE)
        if found:
            # SCAN may name a key twice, also within a page.
            yield list(dict.fromkeys(to_text(key) for key in found))
        if int(cursor) == 0:
            return


def _choose(database: Database, keys: list[str], purge: Purge) -> list[EndedRun]:
    runs = [key.removeprefix(database.keys.run_prefix) for key in keys]
    fields = ("state", "ended_at", "occurrence", "attempt")
    answers = database.read_all([("HMGET", key, *fields) for key in keys])
    listed = database.read("ZMSCORE", database.keys.dead, *runs)
    found = zip(runs, answers, listed, strict=True)
    return [run for name, fields, at in found if (run := _judge(name, fields, purge, is_letter=at is not None))]


def _judge(run: str, fields: list[Any], purge: Purge, *, is_letter: bool) -> EndedRun | None:
    state, occurrence = to_text(fields[0] or b""), to_text(fields[2] or b"")
    ended_at = read_number(fields[1])
    is_chosen = purge.letters if is_letter else state in purge.states
    if not is_chosen or not 0 < ended_at <= purge.before:
        return None
    return EndedRun(run, state, occurrence, read_number(fields[3]))
