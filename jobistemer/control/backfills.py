"""Backfill and replay: run a range of past instants, or one past occurrence once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha1
from typing import TypeVar

import msgspec

from jobistemer.control.unknown_job import build_unknown_job
from jobistemer.core import ids
from jobistemer.core.checks import check_all, check_id, show
from jobistemer.core.durations import instant_ms
from jobistemer.core.errors import Conflict, InvalidInput, NotFound, UnknownJob
from jobistemer.core.jobs.job import Job
from jobistemer.core.planning.backfill import Backfill, BackfillOrder, list_instants
from jobistemer.core.planning.recovery import is_excluded
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import TERMINAL_OCCURRENCES, OccurrenceState
from jobistemer.core.unreadable import Unreadable, read_value
from jobistemer.runtime.offload import twin
from jobistemer.runtime.process_info import user_name
from jobistemer.store.actions import backfill as backfills
from jobistemer.store.actions.backfill import StoredBackfill
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.calls.chores import list_backfills
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.calls.occurrences import FireRequest
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import records

_Choice = TypeVar("_Choice", BackfillOrder, OccurrenceState)


class BackfillPreview(msgspec.Struct, frozen=True):
    """The effect that a backfill would have.

    to_run: the instants (Unix seconds) that it would run, in their order. left_alone: the number of the other instants,
    by the state of their record, or as `undecided` while no ticker has decided about them. excluded: the number of
    instants that a calendar excludes.
    """

    backfill: Backfill
    to_run: list[int]
    left_alone: dict[str, int]
    excluded: int


class UnreadableBackfill(msgspec.Struct, frozen=True):
    """A backfill whose record cannot be read. reason: why."""

    id: str
    reason: str


class Backfills:
    """Control of the backfills of one namespace.

    by: the author of the changes, for the audit list; by default the user of this process and its host.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._by = user_name() if by is None else by

    def ask(
        self,
        name: str,
        first: datetime,
        last: datetime,
        *,
        order: BackfillOrder | str = BackfillOrder.FORWARD,
        concurrency: int = 1,
        again: Collection[str] = (),
    ) -> Backfill:
        """Describe a backfill of the job's instants from `first` to `last`, both included; nothing is written.

        again: the states whose recorded occurrences are run once more, such as missed, skipped or failed.
        Returns the backfill, for `preview` and `start`. Raises InvalidInput.
        """
        now_ms = self._namespace.clock.now_ms()
        first_ms, last_ms = instant_ms("first", first), instant_ms("last", last)
        if last_ms > now_ms:
            raise InvalidInput(f"the range ends at {last.isoformat()}, which is to come; the schedule will fire that")
        range_ = (first_ms // 1000, last_ms // 1000)
        if isinstance(again, str) or not isinstance(again, Collection):
            raise InvalidInput(f"again is {show(again)}, allowed is a list of states, such as ['missed']")
        check_all("again", list(again), str, "states of occurrences", InvalidInput)
        order = _parse_choice(BackfillOrder, "order", order)
        return Backfill(
            _backfill_id(check_id("job name", name), range_, order, again, now_ms),
            name,
            *range_,
            order=order,
            concurrency=concurrency,
            again=tuple(_parse_choice(OccurrenceState, "again", each) for each in sorted(again)),
            by=self._by,
            started_at=now_ms,
        )

    def preview(self, backfill: Backfill) -> BackfillPreview:
        """Return the effect that a backfill would have now; nothing is written.

        Raises UnknownJob, or InvalidInput for more instants than one backfill may have.
        """
        database, stored = self._find_job(backfill.job)
        job = stored.job
        instants = list_instants(job, backfill)
        usable = [each for each in instants if not is_excluded(job, each)]
        states: dict[int, str] = {each: "undecided" for each in usable if each > stored.cursor}
        states |= _read_states(database, job, usable)
        to_run = [each for each in usable if each not in states or states[each] in backfill.again]
        left = Counter(states[each] for each in usable if each in states and states[each] not in backfill.again)
        return BackfillPreview(backfill, to_run, dict(left), len(instants) - len(usable))

    def start(self, backfill: Backfill) -> str:
        """Start a backfill: the tickers carry it out, also when processes end meanwhile.

        Returns its id. Raises what `preview` raises.
        """
        database, stored = self._find_job(backfill.job)
        job = stored.job
        list_instants(job, backfill)
        database.call(backfills.start(database.keys, backfill))
        about = f"{backfill.id}: {backfill.first} to {backfill.last}"
        database.call(jobs.record_job_change(database.keys, job.id, backfill.started_at, self._by, "backfilled", about))
        return backfill.id

    def find(self, backfill_id: str) -> StoredBackfill:
        """Return a backfill with its progress. Raises NotFound."""
        return self._locate(backfill_id)[1]

    def cancel(self, backfill_id: str) -> bool:
        """Stop a backfill: no further instant is fired. Returns whether it was running. Raises NotFound."""
        return backfills.cancel(self._locate(backfill_id)[0], backfill_id)

    def running(self) -> list[StoredBackfill]:
        """Return the backfills that tickers work on."""
        return [each for each in self._list_running() if isinstance(each, StoredBackfill)]

    def unreadable(self) -> list[UnreadableBackfill]:
        """Return the backfills that tickers cannot work on because they cannot be read, each with the reason."""
        return [
            UnreadableBackfill(each.key, each.reason) for each in self._list_running() if isinstance(each, Unreadable)
        ]

    def replay(self, occurrence_id: str) -> str:
        """Run an occurrence once more, under the current version of its job.

        The old record stays unchanged; the record of the new occurrence has the same instant and names the old one.
        Returns the id of the new occurrence. Raises NotFound, UnknownJob when the job was removed, or Conflict while
        the old occurrence is going on, or another one of a job that allows no two at once.
        """
        database, old = self._find_occurrence(occurrence_id)
        if old.state not in TERMINAL_OCCURRENCES:
            raise Conflict(f"occurrence {occurrence_id} is {old.state}; wait for its end, or cancel it first")
        stored = jobs.read_stored(database.ask(*jobs.read_command(database.keys, old.job)))
        if stored is None:
            raise UnknownJob(f"the job of occurrence {occurrence_id} was removed; deploy it again to replay this")
        now_ms = database.read_clock()
        repeated = ids.repeated_id(old.job, old.due, f"replay:{now_ms // 1000}")
        reason = f"replayed by {self._by}: it was {old.state}"
        request = FireRequest(old.due, reason, f"replay {occurrence_id}", repeated)
        reply = database.call(occurrences.fire(database.keys, stored.job, stored.version, request, now_ms))
        if reply.word == "BUSY":
            busy = reply.values[0].decode()
            raise Conflict(f"{busy} of job {stored.job.name!r} is going on, and it allows no two at once; wait for it")
        if reply.word == "STALE":
            raise Conflict(f"job {stored.job.name!r} was changed at the same time; replay it again")
        about = f"{occurrence_id} as {repeated}"
        database.call(jobs.record_job_change(database.keys, old.job, now_ms, self._by, "replayed", about))
        return repeated

    unreadable_async = twin(unreadable)
    preview_async = twin(preview)
    start_async = twin(start)
    find_async = twin(find)
    cancel_async = twin(cancel)
    running_async = twin(running)
    replay_async = twin(replay)

    def _list_running(self) -> list[StoredBackfill | Unreadable | None]:
        listed = [(database, each) for database in self._namespace.shards for each in list_backfills(database)]
        return [read_value(each, backfills.find_backfill, database, each) for database, each in listed]

    def _find_job(self, name: str) -> tuple[Database, StoredJob]:
        database = self._namespace.for_job(ids.job_id(check_id("job name", name)))
        stored = jobs.find_job(database, name)
        if stored is None:
            raise build_unknown_job(self._namespace, name)
        return database, stored

    def _locate(self, backfill_id: str) -> tuple[Database, StoredBackfill]:
        check_id("backfill id", backfill_id)
        for database in self._namespace.shards:
            known = backfills.find_backfill(database, backfill_id)
            if known is not None:
                return database, known
        raise NotFound(f"no backfill {backfill_id} is on record: it never was, or ended more than a week ago")

    def _find_occurrence(self, occurrence_id: str) -> tuple[Database, OccurrenceRecord]:
        check_id("occurrence id", occurrence_id)
        for database in self._namespace.shards:
            if found := records.find_occurrences(database, [occurrence_id]):
                return database, found[0]
        raise NotFound(f"no occurrence {occurrence_id} is on record: it never was, or its retention is over")


def _read_states(database: Database, job: Job, instants: Sequence[int]) -> dict[int, str]:
    """Return the states of a job's recorded occurrences by their instant, Unix seconds."""
    occurrences = {ids.occurrence_id(job.id, each): each for each in instants}
    states = records.find_occurrence_states(database, list(occurrences))
    return {occurrences[occurrence]: state for occurrence, state in states.items()}


def _backfill_id(name: str, range_: tuple[int, int], order: str, again: Collection[str], now_ms: int) -> str:
    # The same request within a second has the same id, so that a command which is sent twice starts one backfill.
    text = f"{name}:{range_}:{order}:{sorted(again)}:{now_ms // 1000}"
    return "bf_" + sha1(text.encode(), usedforsecurity=False).hexdigest()[:16]


def _parse_choice(kind: type[_Choice], field: str, value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        raise InvalidInput(f"{field} is {show(value)}, allowed are {', '.join(kind)}") from None
