"""What people do to jobs at any time, as rules of a state machine: control, deploys, cancels, the past once more."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from jobistemer import Jobistemer
from jobistemer.control.backfills import Backfills
from jobistemer.control.cancel import cancel_occurrence
from jobistemer.core.errors import Conflict, InvalidInput, UnknownJob
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.schedules import Cron
from jobistemer.core.states import TERMINAL_OCCURRENCES
from jobistemer.store.actions.cancel import cancel_run
from jobistemer.store.calls.jobs import find_job
from jobistemer.store.database import Database
from tests.support.clocks import FrozenClock
from tests.support.invariants import NAMES, InvariantChecker, deploy_app

WINDOW = {"update": "windowed", "update_window": Cron("*/2 * * * *"), "update_window_s": 50}
OVERLAPS, RECOVERIES = (
    ["skip", "queue", "allow", "replace"],
    ["execute_all", "execute_last", "mark_as_missed", "bounded_window", "compressed"],
)
UNFINISHED = ("missed", "skipped", "canceled", "failed", "compressed")
some_names, some_number = st.sampled_from(NAMES), st.integers(0, 40)
changes = st.one_of(
    st.fixed_dictionaries({"recovery": st.sampled_from(RECOVERIES)}),
    st.fixed_dictionaries({"overlap": st.sampled_from(OVERLAPS)}),
    st.fixed_dictionaries({"schedule": st.sampled_from(["* * * * *", "*/30 * * * * *", "45 */3 * * * *", "PT100S"])}),
)
updates = st.sampled_from([{"update": "graceful"}, {"update": "immediate"}, WINDOW])


class OperatorRules(RuleBasedStateMachine):
    """Rules for a machine that has these, and that says whether the server can be reached."""

    url: str
    clock: FrozenClock
    database: Database
    ledger: InvariantChecker
    app: Jobistemer
    policies: dict[str, dict[str, Any]]
    outcomes: list[str]
    earlier: list[Jobistemer]

    def whatever_happens(self) -> AbstractContextManager[None]:
        """The server may be away: then it is as if the process had been told so, and it goes on later."""
        raise NotImplementedError

    def reaches_the_server(self) -> bool:
        """Whether the server answers at present."""
        raise NotImplementedError

    def deployed(self) -> None:
        """Deploy what the policies say, from a new process."""
        self.earlier.append(self.app)
        self.app = deploy_app(self.url, self.clock, self.ledger, self.policies, self.outcomes)

    def one_of(self, name: str, number: int, *, ended: bool) -> OccurrenceRecord | None:
        """One of a job's occurrences, any."""
        found = [each for each in self.ledger.occurrences(name) if (each.state in TERMINAL_OCCURRENCES) is ended]
        return found[number % len(found)] if found else None

    def wanted(self, name: str) -> tuple[str, str] | None:
        """The fingerprints of a job's definition and of the one that waits to take over."""
        stored = find_job(self.database, name)
        return (stored.fingerprint, stored.pending) if stored else None

    def now(self) -> datetime:
        """What the clock says."""
        return datetime.fromtimestamp(self.clock.now_ms() // 1000, UTC)

    @rule(name=some_names, minutes=st.sampled_from([None, 3]))
    def somebody_pauses_a_job(self, name, minutes):
        with self.whatever_happens(), suppress(UnknownJob):
            until = self.now() + timedelta(minutes=minutes) if minutes else None
            self.app.control.pause(name, "for the test", until)

    @rule(name=some_names)
    def somebody_resumes_a_job(self, name):
        with self.whatever_happens(), suppress(UnknownJob):
            self.app.control.resume(name)

    @rule(name=some_names)
    def somebody_triggers_a_job(self, name):
        with self.whatever_happens(), suppress(Conflict, UnknownJob):
            self.app.control.trigger(name)

    @rule(name=some_names)
    def somebody_removes_a_job(self, name):
        with self.whatever_happens(), suppress(Conflict, UnknownJob):
            self.app.control.remove(name)

    @rule(name=some_names, change=changes, update=updates)
    def somebody_deploys_a_change(self, name, change, update):
        with self.whatever_happens():
            plain = {key: value for key, value in self.policies[name].items() if key not in WINDOW}
            self.policies[name] = {**plain, **change, **update, "description": f"change {len(self.earlier)}"}
            self.deployed()

    @precondition(lambda self: self.earlier and self.reaches_the_server())
    @rule(number=some_number)
    def an_old_process_starts_once_more(self, number):
        with self.whatever_happens():
            before = {name: self.wanted(name) for name in NAMES}
            answers = self.earlier[number % len(self.earlier)].deploy()
            assert {each.word for each in answers} <= {"UNCHANGED", "OLDER", "CREATED", "POSTPONED"}, answers
            flipped = {
                each.job: (before[each.job], self.wanted(each.job)) for each in answers if each.word != "CREATED"
            }
            assert all(old == new for old, new in flipped.values()), flipped

    @rule(name=some_names, number=some_number)
    def somebody_rolls_a_job_back(self, name, number):
        with self.whatever_happens(), suppress(UnknownJob):
            kept = self.app.control.versions(name)
            self.app.control.rollback(name, kept[number % len(kept)].number)

    @precondition(lambda self: self.reaches_the_server())
    @rule(name=some_names, number=some_number)
    def somebody_cancels_a_run(self, name, number):
        if going := self.one_of(name, number, ended=False):
            for each in self.ledger.runs_of(going):
                cancel_run(self.database, each.id, "for the test")

    @precondition(lambda self: self.reaches_the_server())
    @rule(name=some_names, number=some_number)
    def somebody_cancels_an_occurrence(self, name, number):
        if going := self.one_of(name, number, ended=False):
            cancel_occurrence(self.app.namespace, going.id, "for the test")

    @precondition(lambda self: self.reaches_the_server())
    @rule(name=some_names, number=some_number)
    def somebody_replays_an_occurrence(self, name, number):
        if ended := self.one_of(name, number, ended=True):
            with suppress(Conflict, UnknownJob):
                Backfills(self.app.namespace, "ana").replay(ended.id)

    @rule(name=some_names, back=st.sampled_from([90, 240]), order=st.sampled_from(["forward", "backward"]),
          again=st.sampled_from([(), UNFINISHED]), concurrency=st.sampled_from([1, 3]))  # fmt: skip
    def somebody_backfills_the_past(self, name, back, order, again, concurrency):
        with self.whatever_happens(), suppress(UnknownJob, InvalidInput):
            past, now = Backfills(self.app.namespace, "ana"), self.now()
            first = now - timedelta(seconds=back)
            past.start(past.ask(name, first, now, order=order, again=again, concurrency=concurrency))

    @rule()
    def somebody_pauses_the_queue(self):
        with self.whatever_happens():
            self.app.queues.pause("default")

    @rule()
    def somebody_resumes_the_queue(self):
        with self.whatever_happens():
            self.app.queues.resume("default")
