"""Control of dead letters: list, replay and purge the runs that are out of attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobistemer.control.changes import ChangeList
from jobistemer.core import ids
from jobistemer.core.checks import LONGEST_ID, check_id, check_text, check_whole, show
from jobistemer.core.errors import Conflict, DuplicateRun, InvalidInput, NotFound, UnreadableRecord
from jobistemer.core.handlers.handler import encode_payload
from jobistemer.core.reads.summaries import DeadRun, RunSummary
from jobistemer.runtime.offload import twin, twin_iterator
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls.runs import new_run_id
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.ended_runs import LocatedRun, locate_dead_runs

MAX_OFFSET = 10_000_000
MAX_LIMIT = 100_000


def search_dead(
    shards: Sequence[Database], task: str, error: str, since_ms: int, most: int
) -> tuple[list[LocatedRun], bool]:
    """Return what `DeadLetters.search` returns, each dead letter with its shard."""
    found, wanted = locate_dead_runs(shards, 0, most), error.casefold()
    recent = [each for each in found if each.run.at >= since_ms and task in {"", each.run.task}]
    return [each for each in recent if wanted in each.run.note.casefold()], len(found) < most


class DeadLetters:
    """Control of the dead letters of one namespace: the runs that are out of attempts.

    by: the author of the changes, for the list of changes; by default the user of this process and its host.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._changes = ChangeList(namespace, by)

    def page(self, offset: int = 0, limit: int = dead_letters.PAGE) -> list[DeadRun]:
        """Return a page of dead letters, the latest first. Raises InvalidInput for numbers out of range."""
        check_whole("offset", offset, 0, MAX_OFFSET, InvalidInput)
        check_whole("limit", limit, 0, MAX_LIMIT, InvalidInput)
        return dead_letters.list_dead(self._namespace.shards, offset, limit)

    def count(self) -> int:
        """Return how many dead letters there are."""
        return dead_letters.count_dead(self._namespace.shards)

    def all(self, handler: str = "", *, job: str = "", error: str = "") -> Iterator[DeadRun]:
        """Iterate over the dead letters that meet all given conditions, the oldest first.

        handler: the name of the task. job: the name of the job. error: a text that the last error contains.
        """
        for field, value in (("handler", handler), ("job", job), ("error", error)):
            check_text(field, value, LONGEST_ID, InvalidInput)
        for database in self._namespace.shards:
            for letter in dead_letters.iter_dead(database):
                slot = letter.message.task_ref
                of_job = not job or (slot is not None and slot.job == ids.job_id(job))
                if handler in {"", letter.message.handler} and of_job and error in letter.run.error:
                    yield letter

    def search(
        self, task: str = "", error: str = "", *, since_ms: int = 0, most: int = 5_000
    ) -> tuple[list[RunSummary], bool]:
        """Return the dead letters of a task with a text in their error, whatever its case, the latest first.

        since_ms: only those that died then (Unix ms) or later. most: how many of the latest are looked at. Of each its
        summary is read, whose `note` is the error; `find` returns the whole letter.
        The second value is true when all of them were looked at.
        """
        check_whole("most", most, 1, MAX_LIMIT, InvalidInput)
        found, all_seen = search_dead(self._namespace.shards, task, error, since_ms, most)
        return [each.run for each in found], all_seen

    def find(self, run_id: str) -> DeadRun:
        """Return the dead letter of a run. Raises NotFound."""
        return self._locate(run_id)[1]

    def replay(self, run_id: str, payload: Mapping[str, Any] | None = None) -> str:
        """Replay a dead letter: create a new run that does its work. The dead run itself stays dead.

        payload: keyword arguments that replace those of the dead run; the worker checks them against the task.
        Returns the id of the new run. Raises NotFound, InvalidPayload, Conflict when another process has replayed or
        purged the dead letter meanwhile, or DuplicateRun when another run holds its unique key.
        """
        database, letter = self._locate(run_id)
        if letter.raw is not None:
            raise UnreadableRecord(
                f"run {run_id} cannot be replayed: its message cannot be read. `jobistemer dead show` has its bytes; "
                "enqueue a run with a payload of its own, or replay it with the version that wrote it"
            )
        new_run = self._new_run_id(database)
        edited = None if payload is None else encode_payload(letter.message.handler, payload)
        now_ms = self._namespace.clock.now_ms()
        reply = database.call(dead_letters.replay(database.keys, letter, new_run, now_ms, edited))
        if reply.word == "GONE":
            raise Conflict(f"run {run_id} was replayed or purged at the same time; look at the dead letters again")
        if reply.word == "EXISTS":
            holder = reply.values[0].decode()
            raise DuplicateRun(f"run {run_id} cannot be replayed while {holder} holds its unique key; wait for its end")
        self._changes.record("replay dead", run_id, f"as {new_run}" + (", with another payload" if edited else ""))
        return new_run

    def purge(self, run_ids: list[str]) -> int:
        """Delete dead letters with their records. Returns how many of these runs were dead letters."""
        if isinstance(run_ids, str) or not isinstance(run_ids, Sequence):
            raise InvalidInput(f"run ids are {show(run_ids)}, allowed is a list of ids")
        for each in run_ids:
            check_id("run id", each)
        chosen = list(dict.fromkeys(run_ids))
        purged = sum(
            dead_letters.purge_page(database, chosen[start : start + dead_letters.PAGE])
            for database in self._namespace.shards
            for start in range(0, len(chosen), dead_letters.PAGE)
        )
        if purged:
            named = run_ids[0] if len(run_ids) == 1 else f"{run_ids[0]} and {len(run_ids) - 1} more"
            self._changes.record("purge dead", named, f"{purged} purged")
        return purged

    page_async = twin(page)
    count_async = twin(count)
    search_async = twin(search)
    all_async = twin_iterator(all)  # noqa: A003 - the method of this class is meant
    find_async = twin(find)
    replay_async = twin(replay)
    purge_async = twin(purge)

    def _locate(self, run_id: str) -> tuple[Database, DeadRun]:
        check_id("run id", run_id)
        for database in self._namespace.shards:
            letter = dead_letters.find_dead(database, run_id)
            if letter is not None:
                return database, letter
        raise NotFound(
            f"run {run_id} is no dead letter: it never died, was replayed or purged, or its retention is over"
        )

    def _new_run_id(self, database: Database) -> str:
        # A script touches one shard, so the new run has to be on the shard of the dead one. Its id decides that, hence
        # ids are drawn until one fits: with n shards, n on average.
        while True:
            run = new_run_id(self._namespace.clock.now_ms())
            if self._namespace.for_id(run) is database:
                return run
