"""Control of jobs at run time: pause, resume, trigger, remove, look up."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import islice

import msgspec

from jobistemer.control.changes import ChangeList
from jobistemer.control.definitions import JobDefinitions
from jobistemer.control.job_pages import MAX_PAGE
from jobistemer.control.unknown_job import build_unknown_job
from jobistemer.core import ids
from jobistemer.core.checks import LONGEST_AUTHOR, check_whole, show
from jobistemer.core.durations import instant_ms
from jobistemer.core.errors import Conflict, InvalidInput, UnknownJob
from jobistemer.core.reads.summaries import has_ended_itself
from jobistemer.core.runs.records import JobChange
from jobistemer.core.safe_text import make_storable
from jobistemer.core.unreadable import Unreadable
from jobistemer.runtime.offload import twin
from jobistemer.store.actions.replace_unreadable import remove_unreadable
from jobistemer.store.actions.trim import trim_step
from jobistemer.store.actions.update_job import decide_backlog
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.quarantine import find_wrong_types
from jobistemer.store.reads.jobs import has_live_occurrence, list_job_changes

MAX_LISTED_INSTANTS = 100_000
MAX_PASSES = 50
"""How often `resume` decides a thousand instants of a pause, before it says that a ticker should."""
FASTEST = 1_000.0
"""The highest `catch_up_per_s`."""
_JOB_ID = re.compile(r"job_[0-9a-f]{40}")


class JobControl(JobDefinitions):
    """Control of the jobs of one namespace.

    A change takes effect at the next instant and is kept in Redis, so it outlives all processes.
    """

    def pause(self, name: str, note: str = "", until: datetime | None = None) -> None:
        """Pause a job: record its instants as skipped from now on, until `until` or `resume`.

        note: the reason, for the audit list. Raises UnknownJob, or InvalidInput for an end that is over or has no time
        zone.
        """
        database = self._database(name)
        now_ms = database.read_clock()
        until_ms = _read_pause_end(until, now_ms)
        note = make_storable(note)
        reason = f"paused by {self._by}" + (f": {note}" if note else "")
        detail = f"until {until.isoformat()}: {note}".removesuffix(": ") if until else note
        call = jobs.pause(database.keys, ids.job_id(name), reason, until_ms, now_ms, self._by, detail)
        self._check_registered(name, database.call(call).word)
        self._record("pause job", name, detail)

    def resume(self, name: str) -> None:
        """End the pause of a job: its next instant fires, those of the pause do not.

        Raises UnknownJob, or Conflict when no ticker has decided tens of thousands of them: the job stays paused.
        """
        database = self._database(name)
        now_ms = database.read_clock()
        _skip_undecided(database, name, now_ms)
        call = jobs.resume(database.keys, ids.job_id(name), now_ms, self._by)
        self._check_registered(name, database.call(call).word)
        self._record("resume job", name)

    def remove(self, name: str) -> None:
        """Remove a job. Occurrences that are going on end as usual, and the history expires by itself.

        Raises UnknownJob, or Conflict when another process has changed the job meanwhile.
        """
        database = self._database(name)
        if _remove_unreadable(self._namespace, name, self._by):
            return
        # Instants that are due and not decided yet belong to the job as it is; later nobody could decide about them.
        decide_backlog(database, self.find(name), database.read_clock())
        if database.call(jobs.remove(database.keys, self.find(name), database.read_clock(), self._by)).word == "STALE":
            self.find(name)
            raise Conflict(f"job {name!r} was changed at the same time; look again")
        self._record("remove job", name)

    def remove_all(self, prefix: str) -> int:
        """Remove all jobs whose names begin with `prefix`, as `remove` does. Returns how many were removed.

        Raises InvalidInput for an empty prefix, or Conflict when another process keeps changing one of them.
        """
        if not isinstance(prefix, str) or not prefix:
            raise InvalidInput(f"prefix is {show(prefix)}, allowed is the beginning of names, such as 'tenant-'")
        removed, page = 0, self.list(prefix, limit=MAX_PAGE)
        while page.jobs:
            for summary in page.jobs:
                removed += self._remove_if_there(summary.name)
            page = self.list(prefix, limit=MAX_PAGE, after=page.jobs[-1].name)
        return removed

    def trigger(self, name: str) -> tuple[str, str]:
        """Fire a job now, in addition to its schedule.

        Returns the id of the occurrence and its state: the overlap policy applies, so it may be skipped or queued.
        Raises UnknownJob, or Conflict when another process has changed the job meanwhile.
        """
        stored, database = self.find(name), self._database(name)
        now, reason = database.read_clock(), f"triggered by {self._by}"
        # An occurrence is identified by its second, so a second trigger within one takes a second that is still free.
        for instant in range(now // 1000, now // 1000 - 60, -1):
            call = occurrences.claim_extra(database.keys, stored.job, stored.version, instant, now, reason)
            reply = database.call(call)
            if reply.word == "CLAIMED":
                occurrence = ids.occurrence_id(stored.job.id, instant)
                # The record of the occurrence names its author too: if this process ends here, nothing is lost.
                change = jobs.record_job_change(database.keys, stored.job.id, now, self._by, "triggered", occurrence)
                database.call(change)
                self._record("trigger job", name, occurrence)
                # A ticker trims the history that it has made longer; here this process has.
                trim_step(database, stored.job)
                return occurrence, reply.values[0].decode()
            if reply.word == "STALE":
                raise Conflict(f"job {show(name)} was changed at the same time; trigger it again")
        raise Conflict(f"job {show(name)} was triggered in each of the last 60 seconds; wait a moment")

    def log(self, name: str, limit: int = 100, offset: int = 0) -> list[JobChange]:
        """Return a page of the changes that people and processes have made to a job, the latest first.

        The changes of a removed job are kept as long as its history. limit, offset: at most 10,000. Raises
        InvalidInput.
        """
        check_whole("limit", limit, 0, MAX_PAGE, InvalidInput)
        check_whole("offset", offset, 0, MAX_PAGE, InvalidInput)
        return list_job_changes(self._database(name), ids.job_id(name), limit, offset)

    def is_paused(self, name: str) -> bool:
        """Tell whether a job is paused at present. Raises UnknownJob."""
        return _is_paused(self.find(name), self._now_ms())

    def is_active(self, name: str) -> bool:
        """Tell whether a job is inside the window of its schedule: after its start, and before its end or last instant.

        Raises UnknownJob.
        """
        schedule = self.find(name).job.schedule
        now = datetime.fromtimestamp(self._now_ms() // 1000, UTC)
        start, end = getattr(schedule, "start", None), getattr(schedule, "end", None)
        if start is not None and now < start:
            return False
        return now <= end if end is not None else schedule.next_after(now) is not None

    def is_enabled(self, name: str) -> bool:
        """Tell whether a job is active and not paused. Raises UnknownJob."""
        return self.is_active(name) and not self.is_paused(name)

    def is_running(self, name: str) -> bool:
        """Tell whether an occurrence of a job is going on. Raises UnknownJob."""
        stored, database = self.find(name), self._database(name)
        return has_live_occurrence(database, stored.job.id)

    def next_run(self, name: str) -> datetime | None:
        """Return the next due instant of a job, None when there is none or the job has ended itself by `Done`.

        Raises UnknownJob.
        """
        stored = self.find(name)
        if has_ended_itself(stored.paused):
            return None
        return stored.job.schedule.next_after(datetime.fromtimestamp(self._now_ms() // 1000, UTC))

    def occurrences_between(self, name: str, start: datetime, end: datetime) -> list[datetime]:
        """Return the instants at which a job is due after `start` and up to `end`, by its current version, in UTC.

        Raises UnknownJob, or InvalidInput for an instant without a time zone or for more than 100,000 instants.
        """
        for field, value in (("start", start), ("end", end)):
            instant_ms(field, value)
        due = self.find(name).job.schedule.between(start, end)
        found = list(islice(due, MAX_LISTED_INSTANTS + 1))
        if len(found) > MAX_LISTED_INSTANTS:
            raise InvalidInput(
                f"job {name!r} is due more than {MAX_LISTED_INSTANTS:,} times between {start.isoformat()} and "
                f"{end.isoformat()}; ask for a shorter time"
            )
        return found

    pause_async = twin(pause)
    resume_async = twin(resume)
    remove_async = twin(remove)
    remove_all_async = twin(remove_all)
    trigger_async = twin(trigger)
    log_async = twin(log)
    is_paused_async = twin(is_paused)
    is_active_async = twin(is_active)
    is_enabled_async = twin(is_enabled)
    is_running_async = twin(is_running)
    next_run_async = twin(next_run)
    occurrences_between_async = twin(occurrences_between)

    def _remove_if_there(self, name: str) -> bool:
        try:
            self.remove(name)
        except UnknownJob:
            return False
        return True

    def _record(self, what: str, name: str, note: str = "") -> None:
        ChangeList(self._namespace, self._by[:LONGEST_AUTHOR]).record(what, name, note)

    def _check_registered(self, name: str, word: str) -> None:
        if word == "UNKNOWN":
            raise build_unknown_job(self._namespace, name)


def _is_paused(stored: StoredJob, now_ms: int) -> bool:
    return bool(stored.paused) and (not stored.paused_until or stored.paused_until > now_ms)


def _skip_undecided(database: Database, name: str, now_ms: int) -> None:
    """Record the instants of a pause that no ticker has decided yet as skipped; after it they would count as missed.

    Raises Conflict when there are more than MAX_PASSES times those that one pass decides: the job stays paused.
    """
    for _ in range(MAX_PASSES):
        stored = jobs.find_job_or_reason(database, name)
        if not isinstance(stored, StoredJob) or not _is_paused(stored, now_ms):
            return
        # Nothing fires, so nothing has to be paced.
        unpaced = msgspec.structs.replace(stored.job, catch_up_per_s=FASTEST)
        if decide_backlog(database, stored._replace(job=unpaced), now_ms):
            return
    raise Conflict(
        f"job {name!r} has instants of its pause that no ticker has decided; run one, and resume the job then"
    )


def _remove_unreadable(namespace: Namespace, name: str, by: str) -> bool:
    """Remove a job whose record cannot be read, by its name or, where that cannot be read either, by its id."""
    database = namespace.for_job(ids.job_id(name))
    found = jobs.find_job_or_reason(database, name)
    job_id = ids.job_id(name)
    if found is None and _JOB_ID.fullmatch(name):
        job_id, database = name, namespace.for_job(name)
        answer = database.read(*jobs.read_command(database.keys, job_id))
        found = jobs.read_job(database.keys, job_id, answer)
        found = next(iter(find_wrong_types(database, [database.keys.job(job_id)])), found)
    if not isinstance(found, Unreadable):
        return False
    remove_unreadable(database, job_id, found, by)
    return True


def _read_pause_end(until: datetime | None, now_ms: int) -> int:
    """Return the end of a pause in Unix milliseconds, 0 for a pause without one. Raises InvalidInput."""
    if until is None:
        return 0
    if isinstance(until, datetime) and until.tzinfo is None:
        raise InvalidInput(f"until is {until!r}, which has no time zone; say which, such as {until.isoformat()}+00:00")
    until_ms = instant_ms("until", until)
    if until_ms <= now_ms:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        raise InvalidInput(
            f"until is {until.isoformat()}, which is over: it is {now:%Y-%m-%dT%H:%M:%SZ} by the server's clock; "
            "name a later instant, or none for a pause without an end",
        )
    return until_ms
