"""Summaries for people and dashboards: jobs, queues, workers, tickers and dead letters at one moment."""

from __future__ import annotations

import msgspec

from jobistemer.core.runs.message import Message
from jobistemer.core.runs.records import OccurrenceRecord, RunRecord
from jobistemer.core.states import RunState

ENDED_ITSELF = "ended by its task "
"""How the pause of a job begins that has ended itself by `Done`."""


def has_ended_itself(paused: str) -> bool:
    """Return whether a job with this pause has ended itself by `Done`: no instant is left until it is resumed."""
    return paused.startswith(ENDED_ITSELF)


class JobSummary(msgspec.Struct, frozen=True):
    """One registered job; times are Unix milliseconds, next_due is None when no instant is left.

    live and queued count its occurrences that are going on and that wait for an earlier one. unreadable: why its
    definition cannot be read, empty for nearly all jobs; then name and version are those that could be read.
    """

    name: str
    id: str
    version: int
    schedule: str
    description: str
    paused: str
    paused_until: int
    next_due: int | None
    live: int
    queued: int
    last: OccurrenceRecord | None
    unreadable: str = ""

    def is_paused(self, now_ms: int) -> bool:
        """Return whether its instants are recorded as skipped at `now_ms`."""
        return bool(self.paused) and (not self.paused_until or self.paused_until > now_ms)

    @property
    def has_ended(self) -> bool:
        """True if a handler has ended the job by `Done`."""
        return has_ended_itself(self.paused)


class QueueSummary(msgspec.Struct, frozen=True):
    """One queue: waiting entries, by priority too, entries in flight, and runs that wait for a time or a limit.

    delayed counts among the next 10,000 delayed runs of each shard, limited the first 10,000 runs that wait for each
    limit, by its name; where there are more, delayed_is_exact and limited_is_exact are false, and the numbers are those
    that there are at least. The number of all delayed runs is a read of its own. Priority 10 is the front: runs that a
    limit has let in. draining: it takes no new runs.
    """

    name: str
    waiting: int
    in_flight: int
    delayed: int
    paused: bool
    priorities: dict[int, int]
    limited: dict[str, int] = {}
    draining: bool = False
    delayed_is_exact: bool = True
    limited_is_exact: bool = True

    @property
    def all_waiting(self) -> int:
        """Return how many runs wait to be started: those on its streams and those that wait for a limit."""
        return self.waiting + sum(self.limited.values())


class WorkerSummary(msgspec.Struct, frozen=True):
    """One worker as its last beat described it; rate: the runs a second that its slots could do, as it expects.

    command: the last command to the worker, which it may not have received yet. leaked counts threads and coroutines of
    attempts that were stopped and have not ended. running: attempts in its slots, by `<queue> <task>`.
    near_timeout: for tasks that used 80 % of their time-out or more within a day, the longest attempt and its time-out
    in ms. memory_mib, cpu_percent: of its process without children, None where they are not known. waits_until_due:
    whether it keeps a run that was claimed before its instant until then; workers of earlier releases do not.
    """

    id: str
    beat_at: int
    host: str = ""
    pid: int = 0
    started_at: int = 0
    queues: dict[str, int] = {}
    concurrency: int = 0
    in_flight: int = 0
    done: int = 0
    failed: int = 0
    stale: int = 0
    leaked: int = 0
    rate: float = 0.0
    quiet: bool = False
    command: str = ""
    running: dict[str, int] = {}
    near_timeout: dict[str, tuple[int, int]] = {}
    memory_mib: float | None = None
    cpu_percent: float | None = None
    waits_until_due: bool = False

    @property
    def average_rate(self) -> float | None:
        """Return how many runs a second it has done since it started, pauses included; None for one of no age."""
        age_ms = self.beat_at - self.started_at
        return self.done * 1000 / age_ms if self.started_at and age_ms > 0 else None


class TickerSummary(msgspec.Struct, frozen=True):
    """One ticker as its last beat described it; offset_ms is how far server time is ahead of its machine.

    late_ms_max, late_ms_recent: the most by which an occurrence was late, since its start and in the last 5 minutes.
    unaccounted: jobs that are due beyond their grace and about which nothing happens. held_ms: how far the server's
    clock has leapt ahead of the time that the ticker still uses.
    """

    id: str
    beat_at: int
    host: str = ""
    pid: int = 0
    started_at: int = 0
    fired: int = 0
    prepared: int = 0
    late_ms_max: int = 0
    late_ms_recent: int = 0
    offset_ms: int = 0
    unaccounted: int = 0
    held_ms: int = 0


class DeadRun(msgspec.Struct, frozen=True):
    """A run that is out of attempts, with the message it died with.

    raw: the bytes of a message that cannot be read, None for nearly all; then `message` is what can be read of it.
    """

    run: RunRecord
    message: Message
    raw: bytes | None = None


class DelayedRun(msgspec.Struct, frozen=True):
    """A run that waits for its time, scheduled or suspended; note says why when it has been tried before."""

    id: str
    handler: str
    place: str
    due_at: int
    attempt: int
    note: str
    state: RunState


class StreamRun(msgspec.Struct, frozen=True):
    """A run on a stream: it waits for a worker, or `worker` has it in flight. entry: the id of its stream entry.

    payload: the JSON that it was called with.
    """

    id: str
    handler: str
    place: str
    entry: str
    enqueued_at: int
    attempt: int
    worker: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"")


class RunSummary(msgspec.Struct, frozen=True):
    """A run in a list.

    state: as in its record, but that a run in flight is running from its fetch on. at: Unix milliseconds; when it was
    enqueued, when it is due if it is scheduled or suspended, or when it ended. attempt: the number of its latest or
    next attempt, from 0; attempts: how many have begun. note: why it waits, or its error. occurrence: the one that it
    is a task of, empty for none. limit: the one that a pending run waits for, empty for none.
    """

    id: str
    task: str
    queue: str
    state: str
    at: int
    attempt: int
    worker: str = ""
    note: str = ""
    occurrence: str = ""
    attempts: int = 0
    limit: str = ""


class Hold(msgspec.Struct, frozen=True):
    """A hold: its name, its end in Unix milliseconds, and how many runs it has put off so far."""

    name: str
    until: int
    parked: int
