"""The verdict on a story at rest, in figures: the ledger outside is held against the records of the server."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import TERMINAL_RUNS, AttemptState, RunState
from jobistemer.store.database import Database
from jobistemer.store.reads import records
from tests.chaos.campaign.app import AT_A_TIME
from tests.chaos.campaign.ledger import Execution, Ledger
from tests.support.audit import find_faults
from tests.support.shard_state import find_leaks

PAGE = 500


class Verdict(msgspec.Struct, omit_defaults=False):
    """Figures of one story; those from `lost` to `left_over` are violations, and 0 is right.

    acknowledged: calls. occurrences: on record. executions: calls of handlers. lost_attempts: on record. lost: calls that
    were acknowledged and did not end, or succeeded without an effect. unaccounted: due instants without their one row.
    double: effects that no lost, failed or interrupted attempt explains. unexplained: executions beyond the attempts on
    record. overlap, limit, unique: pairs that went on at the same time. left_over: keys that would stay. failed:
    acknowledged calls that ended otherwise than well.
    """

    acknowledged: int = 0
    occurrences: int = 0
    executions: int = 0
    lost_attempts: int = 0
    failed: int = 0
    lost: int = 0
    unaccounted: int = 0
    double: int = 0
    unexplained: int = 0
    overlap: int = 0
    limit: int = 0
    unique: int = 0
    left_over: int = 0
    examples: list[str] = msgspec.field(default_factory=list)

    @property
    def violations(self) -> int:
        """How many promises were broken."""
        return sum(getattr(self, name) for name in VIOLATIONS)


VIOLATIONS = ("lost", "unaccounted", "double", "unexplained", "overlap", "limit", "unique", "left_over")


def judge(ledger: Ledger, database: Database, since: float = 0.0, until: int | None = None) -> Verdict:
    """The verdict on calls and executions since then, by the monotonic clock, and on instants up to Unix seconds."""
    every, calls = ledger.executions(), ledger.acknowledged(since)
    found = _find_runs(database, {*calls, *(each.run for each in every)})
    # A producer notes a call after its worker may have begun it: after a loss those count that are on record.
    executions = [each for each in every if each.began >= since or each.run in found]
    told = Verdict(acknowledged=len(calls), executions=len(executions))
    told.occurrences = sum(
        database.client.zcard(key) for key in database.client.scan_iter(f"{database.keys.tag}:history:*")
    )
    faults, leaks = find_faults(database, until), find_leaks(database)
    told.unaccounted, told.left_over = len(faults), len(leaks)
    told.examples += faults[:3] + [f"left over: {key}" for key in list(leaks)[:3]]
    unfinished = _find_unfinished(database, found)
    told.lost_attempts = sum(len(each) for each in unfinished.values())
    _judge_calls(told, calls, found, executions)
    _judge_executions(told, found, executions, unfinished)
    counted = [
        each for each in executions if each.ended is not None and each.attempt not in unfinished.get(each.run, ())
    ]
    told.overlap = _count_beyond(told, "overlap", [each for each in counted if each.kind == "alone"], 1)
    told.unique = _count_beyond(told, "unique", [each for each in counted if each.kind == "keyed"], 1)
    told.limit = _count_beyond(told, "limit", [each for each in counted if each.kind == "limited"], AT_A_TIME)
    return told


def _find_runs(database: Database, runs: Iterable[str]) -> dict[str, RunRecord]:
    listed = sorted(runs)
    pages = (listed[at : at + PAGE] for at in range(0, len(listed), PAGE))
    return {each.id: each for page in pages for each in records.find_runs(database, page)}


def _find_unfinished(database: Database, found: dict[str, RunRecord]) -> dict[str, set[int]]:
    """By run, the attempts whose worker died: their code may have gone on while others began anew."""
    again = [each for each in found.values() if each.attempt]
    attempts = {each.id: records.find_attempts(database, each) for each in again}
    lost = {run: {each.number for each in tried if each.state is AttemptState.LOST} for run, tried in attempts.items()}
    return {run: numbers for run, numbers in lost.items() if numbers}


def _judge_calls(told: Verdict, calls: list[str], found: dict[str, RunRecord], executions: list[Execution]) -> None:
    effects = {each.run for each in executions if each.ok}
    for run in calls:
        record = found.get(run)
        if record is None or record.state not in TERMINAL_RUNS:
            told.lost += 1
            told.examples.append(f"lost: {run} is {record.state if record else 'not on record'}")
        elif record.state is not RunState.SUCCEEDED:
            told.failed += 1
        elif run not in effects:
            told.lost += 1
            told.examples.append(f"lost: {run} succeeded without an effect")


def _judge_executions(
    told: Verdict, found: dict[str, RunRecord], executions: list[Execution], unfinished: dict[str, set[int]]
) -> None:
    begun, effects = Counter(each.run for each in executions), Counter(each.run for each in executions if each.ok)
    for run, record in found.items():
        explained = len(unfinished.get(run, ())) + record.interruptions
        if (beyond := effects[run] - 1 - explained) > 0:
            told.double += beyond
            told.examples.append(f"double: {run} had {effects[run]} effects, {explained} are explained")
        if (beyond := begun[run] - (record.attempt + 1) - record.interruptions) > 0:
            told.unexplained += beyond
            told.examples.append(
                f"unexplained: {run} was begun {begun[run]} times, attempt {record.attempt} is its last"
            )


def _count_beyond(told: Verdict, what: str, executions: list[Execution], allowed: int) -> int:
    """How many executions began while so many of the same key were going on as are allowed."""
    going_on: defaultdict[str, list[Execution]] = defaultdict(list)
    violations = 0
    for each in sorted(executions, key=lambda each: each.began):
        others = [other for other in going_on[each.key] if (other.ended or 0.0) > each.began]
        if len(others) >= allowed:
            violations += 1
            told.examples.append(f"{what}: {each.run} began beside {', '.join(other.run for other in others)}")
        going_on[each.key] = [*others, each]
    return violations
