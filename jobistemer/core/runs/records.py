"""Records as people and programs read them: what Redis keeps of runs, attempts and occurrences."""

from __future__ import annotations

import msgspec

from jobistemer.core.states import TERMINAL_RUNS, AttemptState, OccurrenceState, RunState
from jobistemer.core.text import pluralize


class AttemptRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt of a run; times are Unix milliseconds. lines: how many it logged; progress: JSON."""

    id: str
    number: int
    state: AttemptState
    worker: str = ""
    started_at: int = 0
    ended_at: int = 0
    error: str = ""
    lines: int = 0
    progress: str = ""


class RunRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task run; times are Unix milliseconds. attempt is the number of its latest attempt.

    waits: how many upstream tasks it waits for. waiting: the limit that it waits for. maps: how many groups of runs it
    has made. cancel: when it was asked to end, and cancel_reason why. retried_as: the run that has its work now;
    retry_of: the run whose work it has. interruptions: how often its worker ended before it, which used up no attempt.
    buried: 1 for a run that is out of attempts and became a dead letter. unbegun: 1 for a run that ended before its
    latest attempt began.
    """

    id: str
    state: RunState
    handler: str
    place: str
    enqueued_at: int
    ended_at: int = 0
    due_at: int = 0
    attempt: int = 0
    occurrence: str = ""
    entry: str = ""
    waits: int = 0
    waiting: str = ""
    crashes: int = 0
    interruptions: int = 0
    note: str = ""
    error: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")
    cancel: int = 0
    group: str = ""
    maps: int = 0
    cancel_reason: str = ""
    retried_as: str = ""
    retry_of: str = ""
    buried: int = 0
    wait: str = ""
    snoozes: int = 0
    signals: str = ""
    question: str = ""
    unbegun: int = 0

    @property
    def attempts(self) -> int:
        """The number of its attempts that have begun."""
        return count_attempts(self.state, self.attempt, self.unbegun)

    @property
    def attempts_text(self) -> str:
        """Its attempts and what has interrupted it, for people: "3, 1 crash, put off 2 times"."""
        parts = [f"{self.attempts}"]
        parts += [f"{self.crashes} crash{'' if self.crashes == 1 else 'es'}"] if self.crashes else []
        parts += [pluralize(self.interruptions, "interruption")] if self.interruptions else []
        parts += [f"put off {pluralize(self.snoozes, 'time')}"] if self.snoozes else []
        return ", ".join(parts)

    @property
    def news(self) -> str:
        """Its note, without what it waited for before it ended: only which run has its work now."""
        return self.note if not self.ended_at or self.retried_as else ""


def count_attempts(state: str, attempt: int, unbegun: int = 0) -> int:
    """Return how many attempts of a run have begun. attempt: the number of its latest or of its next one, from 0."""
    if state == RunState.SKIPPED:
        return 0
    return attempt + (state == RunState.RUNNING or (state in TERMINAL_RUNS and not unbegun))


class OccurrenceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One due instant of a job. due: Unix seconds; other times: Unix milliseconds; open: its live runs.

    origin: what it came from if not from the clock: `trigger`, `replay <occurrence>` or `backfill <id>`.
    """

    id: str
    job: str
    version: int
    due: int
    state: OccurrenceState
    reason: str
    claimed_at: int
    started_at: int = 0
    ended_at: int = 0
    open: int = 0
    verdict: str = ""
    error: str = ""
    origin: str = ""
    halt: str = ""
    deadline: int = 0

    @property
    def late_ms(self) -> int:
        """Return how many milliseconds after its due instant it was claimed."""
        return self.claimed_at - self.due * 1000


class Change(msgspec.Struct, frozen=True):
    """A change to a queue, a hold, a worker, a run, a dead letter or a job.

    at: Unix milliseconds. by: the author. what: the kind of change. target: the name or id of what was changed.
    """

    at: int
    by: str
    what: str
    target: str
    note: str = ""


class JobChange(msgspec.Struct, frozen=True):
    """A change to a job.

    at: Unix milliseconds. by: the operator or process that made it. what: one word such as paused or created.
    """

    at: int
    by: str
    what: str
    note: str
