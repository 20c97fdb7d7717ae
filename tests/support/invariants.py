"""A small world whose promise can be checked at any time: three jobs, their instants, and what was executed of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from jobistemer import NO_RETRIES, Concurrency, Context, Jobistemer
from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.jobs.retries import Delays
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord, RunRecord
from jobistemer.core.states import TERMINAL_ATTEMPTS, TERMINAL_OCCURRENCES, TERMINAL_RUNS
from jobistemer.store.calls import jobs
from jobistemer.store.calls.job_versions import find_versions
from jobistemer.store.database import Database
from jobistemer.store.reads import records
from tests.support.clocks import FrozenClock
from tests.support.durable_rules import StepChecker, declare_tale, take_two_steps
from tests.support.step_system import open_app

SCHEDULES = {"alone": "* * * * *", "chain": "30 */2 * * * *", "caught_up": "PT90S"}
NAMES = tuple(SCHEDULES)


class InvariantChecker:
    """What was seen of the records so far, and what handlers really did."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self._database = database
        self._clock = clock
        self._ended: dict[str, Any] = {}
        self._settled: set[str] = set()
        self._live: dict[str, set[str]] = {}
        self._rows: dict[str, dict[str, OccurrenceRecord]] = {name: {} for name in NAMES}
        self._jobs: dict[tuple[str, int], Job] = {}
        self.executions: Counter[str] = Counter()
        self.has_stepped_back = False
        self.steps = StepChecker(database)

    def occurrences(self, name: str) -> list[OccurrenceRecord]:
        history = self._database.client.zrange(self._database.keys.history(ids.job_id(name)), 0, -1)
        return records.find_occurrences(self._database, [each.decode() for each in history])

    def runs_of(self, occurrence: OccurrenceRecord) -> list[RunRecord]:
        job = self.definition(occurrence)
        if occurrence.state in records.NEVER_RAN:
            return []
        return records.find_runs(
            self._database, [ids.run_id(occurrence.id, ids.task_id(job.id, task.name)) for task in job.tasks]
        )

    def definition(self, occurrence: OccurrenceRecord) -> Job:
        key = (occurrence.job, occurrence.version)
        if key not in self._jobs:
            job = jobs.find_version(self._database, *key)
            assert job is not None, f"{occurrence.id} is pinned to a version that is gone"
            self._jobs[key] = job
        return self._jobs[key]

    def check(self, deaths: int) -> None:
        """What holds at every moment: I2, I6, I8, I10, and I1 up to each job's cursor.

        What has ended with all its runs is looked at again at rest.
        """
        keys, job_ids = self._database.keys, [ids.job_id(name) for name in NAMES]
        listed = [("ZRANGE", key(each), 0, -1) for key in (keys.history, keys.live) for each in job_ids]
        answers = [[each.decode() for each in answer] for answer in self._database.ask_all(listed)]
        for name, history, live in zip(NAMES, answers[:3], answers[3:], strict=True):
            found = records.find_occurrences(self._database, [each for each in history if each not in self._settled])
            self._rows[name].update((each.id, each) for each in found)
            for each in found:
                self._check_occurrence(each)
            self._every_instant_has_its_row(name)
            self._one_at_a_time(name, set(live))
        self.steps.check(deaths)

    def _check_occurrence(self, each: OccurrenceRecord) -> None:
        assert each.reason, f"{each.id} does not say why"
        # What is run once more is asked for by people, also after the clock has stepped back.
        assert each.late_ms >= 0 or each.origin, f"{each.id} was decided early: I2"
        self._never_changes(each.id, each, each.state in TERMINAL_OCCURRENCES)
        runs = self.runs_of(each)
        for run in runs:
            first = self._check_run(run)
            is_in_time = not first or first >= each.due * 1000
            assert is_in_time or each.origin or self.has_stepped_back, f"{run.id} has begun early: I2"
        if each.state in TERMINAL_OCCURRENCES and all(run.id in self._ended for run in runs):
            self._settled.add(each.id)

    def _every_instant_has_its_row(self, name: str) -> None:
        due = {each.due for each in self._rows[name].values()}
        for version in find_versions(self._database, ids.job_id(name)):
            until = version.until
            if until is None:
                stored = jobs.find_job(self._database, name)
                assert stored is not None, f"version {version.number} of {name}, which was removed, has no end"
                until = stored.cursor
            expected = set(version.job.schedule.unix_between(version.after, until))
            assert expected <= due, f"{name}: holes at {sorted(expected - due)}: I1"

    def _check_run(self, run: RunRecord) -> int | None:
        """Check one run; return when its first attempt has begun, 0 or None for never."""
        self._never_changes(run.id, run, run.state in TERMINAL_RUNS)
        attempts = records.find_attempts(self._database, run)
        for attempt in attempts:
            self._never_changes(attempt.id, attempt, attempt.state in TERMINAL_ATTEMPTS)
        numbers = [attempt.number for attempt in attempts]
        assert numbers == list(range(len(numbers))), f"{run.id} has attempts {numbers}: I6"
        return attempts[0].started_at if attempts else None

    def _never_changes(self, identity: str, record: Any, ended: bool) -> None:
        if identity in self._ended:
            assert record == self._ended[identity], f"{identity} has changed after its end: I6, I10"
        elif ended:
            self._ended[identity] = record

    def _one_at_a_time(self, name: str, live: set[str]) -> None:
        rows, before = self._rows[name], self._live.get(name, set())
        self._live[name] = live
        for newcomer in live - before:
            if self.definition(rows[newcomer]).overlap is not Overlap.ALLOW:
                # Beside it there may be those that came after it, under a version that has allowed them.
                beside = {
                    each for each in live - {newcomer} if self.definition(rows[each]).overlap is not Overlap.ALLOW
                }
                assert not beside | (live & before), f"{name}: {newcomer} began beside {beside or live & before}: I8"

    def check_at_rest(self, deaths: int) -> None:
        """What holds when nothing goes on any more: I3, I4, I5."""
        self._settled.clear()
        self.check(deaths)
        self.steps.check_at_rest(deaths)
        for rows in self._rows.values():
            for each in rows.values():
                assert each.state in TERMINAL_OCCURRENCES, f"{each.id} never ended: I3"
                for run in self.runs_of(each):
                    assert run.state in TERMINAL_RUNS, f"{run.id} never ended: I3"
                    attempts = records.find_attempts(self._database, run)
                    self._executed_as_recorded(run, attempts, deaths)

    def _executed_as_recorded(self, run: RunRecord, attempts: list[AttemptRecord], deaths: int) -> None:
        executed = self.executions[run.id]
        if run.state == "succeeded":
            assert executed >= 1, f"{run.id} succeeded and was never executed: I4"
        # An attempt that its worker could not finish does not count, and the next one has its number.
        assert executed <= len(attempts) + run.interruptions + deaths, f"{run.id} was executed {executed} times: I5"


def deploy_app(
    url: str, clock: FrozenClock, ledger: InvariantChecker, policies: dict[str, dict[str, Any]], outcomes: list[str]
) -> Jobistemer:
    """An app with the three jobs; `outcomes` says how the next executions end, the last one first."""
    app = open_app(url, clock)

    def work(context: Context) -> None:
        ledger.executions[context.run] += 1
        if outcomes and outcomes.pop() == "fail":
            raise ValueError("as the test wants it")

    retry = Delays((5.0, 20.0))
    wanted = {name: {"schedule": schedule, **policies[name]} for name, schedule in SCHEDULES.items()}
    app.job(name="alone", retry=NO_RETRIES, **wanted["alone"])(work)
    chain = app.job(name="chain", retry=retry, mode="sequential", **wanted["chain"])
    chain.task(work, name="first")
    chain.task(
        take_two_steps(ledger.steps, outcomes, ledger.executions), name="second", limits=[Concurrency(1, name="one")]
    )
    app.job(name="caught_up", retry=retry, limits=[Concurrency(1, name="one")], **wanted["caught_up"])(work)
    declare_tale(app, ledger.steps, outcomes)
    app.deploy()
    return app
