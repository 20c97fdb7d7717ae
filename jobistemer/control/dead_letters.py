"""Dead letters for people who decide about them: look, replay, purge. Needs no application code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobistemer.core import ids
from jobistemer.core.errors import Conflict, DuplicateRun, NotFound
from jobistemer.core.handlers.handler import encode_payload
from jobistemer.core.reads.summaries import DeadRun
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls.runs import new_run_id
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace


class DeadLetters:
    """The runs of one namespace that are out of attempts."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def page(self, offset: int = 0, limit: int = dead_letters.PAGE) -> list[DeadRun]:
        """A page of them, those that died last first."""
        return dead_letters.list_dead(self._namespace.shards, offset, limit)

    def all(self, handler: str = "", *, job: str = "", error: str = "") -> Iterator[DeadRun]:
        """Those that fit, the oldest first; without a condition all of them.

        handler: name of the task's callable. job: name of the job. error: text that is part of the last error.
        """
        for database in self._namespace.shards:
            for letter in dead_letters.iter_dead(database):
                slot = letter.message.slot
                of_job = not job or (slot is not None and slot.job == ids.job_id(job))
                if handler in {"", letter.message.handler} and of_job and error in letter.run.error:
                    yield letter

    def find(self, run_id: str) -> DeadRun:
        """One of them. Raises NotFound."""
        return self._locate(run_id)[1]

    def replay(self, run_id: str, payload: Mapping[str, Any] | None = None) -> str:
        """Have its work done by a new run, whose id is returned; a dead run itself stays dead.

        payload: keyword arguments in place of those that it died with; the worker checks them against the task.
        Raises NotFound, InvalidPayload, Conflict when somebody else has replayed or purged it, or DuplicateRun when
        another run holds its unique key.
        """
        database, letter = self._locate(run_id)
        new_run = self._new_run_id(database)
        edited = None if payload is None else encode_payload(letter.message.handler, payload)
        reply = database.call(
            dead_letters.replay(database.keys, letter, new_run, self._namespace.clock.now_ms(), edited)
        )
        if reply.word == "GONE":
            raise Conflict(f"run {run_id} was replayed or purged at the same time; look at the dead letters again")
        if reply.word == "EXISTS":
            holder = reply.values[0].decode()
            raise DuplicateRun(f"run {run_id} cannot be replayed while {holder} holds its unique key; wait for its end")
        return new_run

    def purge(self, run_ids: list[str]) -> int:
        """Delete them with what they carry; how many there were."""
        purged = 0
        for database in self._namespace.shards:
            for start in range(0, len(run_ids), dead_letters.PAGE):
                call = dead_letters.purge(database.keys, run_ids[start : start + dead_letters.PAGE])
                purged += database.call(call).values[0]
        return purged

    def _locate(self, run_id: str) -> tuple[Database, DeadRun]:
        for database in self._namespace.shards:
            letter = dead_letters.find_dead(database, run_id)
            if letter is not None:
                return database, letter
        raise NotFound(
            f"run {run_id} is no dead letter: it never died, was replayed or purged, or its retention is over"
        )

    def _new_run_id(self, database: Database) -> str:
        # One script touches one shard, so the new run must live where the dead one does.
        while True:
            run = new_run_id(self._namespace.clock.now_ms())
            if self._namespace.for_id(run) is database:
                return run
