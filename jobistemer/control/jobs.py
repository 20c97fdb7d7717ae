"""Jobs at run time: register, look up, pause, resume, trigger, remove. Needs no application code."""

from __future__ import annotations

from datetime import UTC, datetime

from jobistemer.control.definitions import JobDefinitions
from jobistemer.core import ids
from jobistemer.core.errors import Conflict, InvalidInput, UnknownJob
from jobistemer.core.runs.records import JobChange
from jobistemer.store.actions.trim import trim_step
from jobistemer.store.actions.update_job import decide_backlog
from jobistemer.store.calls import jobs, occurrences


class JobControl(JobDefinitions):
    """Control of the jobs of one namespace, effective at the next instant and kept across restarts."""

    def pause(self, name: str, note: str = "", until: datetime | None = None) -> None:
        """Record the job's instants as skipped from now on. Raises UnknownJob or InvalidInput."""
        database = self._database(name)
        now_ms = database.read_clock()
        until_ms = _pause_end(until, now_ms)
        reason = f"paused by {self._by}" + (f": {note}" if note else "")
        detail = f"until {until.isoformat()}: {note}".removesuffix(": ") if until else note
        call = jobs.pause(database.keys, ids.job_id(name), reason, until_ms, now_ms, self._by, detail)
        self._check_registered(name, database.call(call).word)

    def resume(self, name: str) -> None:
        """End the pause. Raises UnknownJob."""
        database = self._database(name)
        call = jobs.resume(database.keys, ids.job_id(name), database.read_clock(), self._by)
        self._check_registered(name, database.call(call).word)

    def remove(self, name: str) -> None:
        """Forget the job; what runs ends, and its history expires by itself. Raises UnknownJob or Conflict."""
        database = self._database(name)
        decide_backlog(database, self.find(name), database.read_clock())
        if database.call(jobs.remove(database.keys, self.find(name), database.read_clock(), self._by)).word == "STALE":
            raise Conflict(f"job {name!r} was changed or removed at the same time; look again")

    def trigger(self, name: str) -> tuple[str, str]:
        """Fire the job now, beside its schedule; the occurrence's id and its state. Raises UnknownJob or Conflict.

        The overlap policy applies: the state may be skipped or queued.
        """
        stored, database = self.find(name), self._database(name)
        now = database.read_clock()
        for instant in range(now // 1000, now // 1000 - 60, -1):
            reason = f"triggered by {self._by}"
            call = occurrences.claim_extra(database.keys, stored.job, stored.version, instant, now, reason)
            reply = database.call(call)
            if reply.word == "CLAIMED":
                occurrence = ids.occurrence_id(stored.job.id, instant)
                # The occurrence says itself who triggered it, so nothing is lost should this not be noted any more.
                database.call(
                    jobs.record_job_change(database.keys, stored.job.id, now, self._by, "triggered", occurrence)
                )
                # Tickers trim what they have made longer themselves.
                trim_step(database, stored.job)
                return occurrence, reply.values[0].decode()
            if reply.word == "STALE":
                raise Conflict(f"job {name!r} was changed at the same time; trigger it again")
        raise Conflict(f"job {name!r} was triggered in each of the last 60 seconds; wait a moment")

    def log(self, name: str, limit: int = 100) -> list[JobChange]:
        """Who did what to the job and when, the latest first; of a removed one as long as its history is kept."""
        return jobs.read_audit(self._database(name), ids.job_id(name), limit)

    def is_paused(self, name: str) -> bool:
        """Whether instants are recorded as skipped at present. Raises UnknownJob."""
        stored = self.find(name)
        return bool(stored.paused) and (not stored.paused_until or stored.paused_until > self._now_ms())

    def is_active(self, name: str) -> bool:
        """Whether the schedule has an instant to come. Raises UnknownJob."""
        return self.next_run(name) is not None

    def is_enabled(self, name: str) -> bool:
        """Active and not paused. Raises UnknownJob."""
        return self.is_active(name) and not self.is_paused(name)

    def is_running(self, name: str) -> bool:
        """Whether an occurrence is live. Raises UnknownJob."""
        stored, database = self.find(name), self._database(name)
        return bool(database.ask("ZCARD", database.keys.live(stored.job.id)))

    def next_run(self, name: str) -> datetime | None:
        """The next due instant, or None. Raises UnknownJob."""
        return self.find(name).job.schedule.next_after(datetime.fromtimestamp(self._now_ms() // 1000, UTC))

    def _check_registered(self, name: str, word: str) -> None:
        if word == "UNKNOWN":
            raise UnknownJob(f"no job {name!r} is registered in namespace {self._namespace.name!r}; deploy it first")


def _pause_end(until: datetime | None, now_ms: int) -> int:
    if until is None:
        return 0
    if until.tzinfo is None:
        raise InvalidInput(f"until is {until!r}, which has no time zone; say which, such as {until.isoformat()}+00:00")
    until_ms = round(until.timestamp() * 1000)
    if until_ms <= now_ms:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        raise InvalidInput(
            f"until is {until.isoformat()}, which is over: it is {now:%Y-%m-%dT%H:%M:%SZ} by the server's clock; "
            "name a later instant, or none for a pause without an end",
        )
    return until_ms
