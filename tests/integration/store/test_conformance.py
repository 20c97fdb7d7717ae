"""The scripts against the tables of `jobistemer/core/states.py`, state by state and event by event: runs and attempts.

A run and an attempt are put into each state, and every event is tried in every one: what the table
allows leads where the table says; what it forbids leaves the record as it was, whoever tries (I6, I7, I10).
"""

import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.planning.plan import build_runs
from jobistemer.core.runs.settle import CANCELED, SUCCEEDED, FinalState, NextAttempt, Suspension
from jobistemer.core.states import (
    ATTEMPT_TRANSITIONS,
    RUN_TRANSITIONS,
    AttemptState,
    RunState,
    next_state,
)
from jobistemer.store.calls import occurrences, run_ends, runs
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    commit,
    decision,
    delivery_of,
    enqueue,
    fetch,
    fetch_one,
    job,
    message,
    register,
    task,
)
from tests.support.shard_state import records
from tests.support.steps import signal

LATER = NOW + 3_600_000
DEAD, FAILED, TIMED_OUT = (
    FinalState(RunState(state), "failed", spent=state != "failed") for state in ("dead", "failed", "timed_out")
)


class EnqueuedRun:
    """A run that application code has enqueued."""

    definition = None
    message = message()
    member = "default:5:run_1"

    def enqueue(self, database):
        enqueue(database)

    def wait_on_stream(self, database):
        enqueue(database)


class TaskRun:
    """A run that is the second task of an occurrence; a third one is in flight and may fail."""

    definition = job(task("first"), task("second", "first"), task("third", retry=NO_RETRIES))
    occurrence = ids.occurrence_id(definition.id, T0 + MINUTE)
    first, message, third = (text for _, text in build_runs(definition, 1, T0 + MINUTE, (T0 + MINUTE) * 1000))
    member = f"default:5:{message.run}"

    def enqueue(self, database):
        if "due" not in records(database):
            register(database, self.definition)
        claim(database, self.definition, decision(T0 + MINUTE))

    def wait_on_stream(self, database):
        self.enqueue(database)
        first, self.third_delivery = fetch(database, "carol")
        database.call(run_ends.record_end(database.keys, build_ended(first, worker="carol"), self.definition))

    def fail_third(self, database):
        if not hasattr(self, "third_delivery"):
            self.third_delivery = next((each for each in fetch(database, "carol") if each.message == self.third), None)
        if self.third_delivery:
            over = build_ended(self.third_delivery, "failed", "carol", ending=DEAD)
            database.call(run_ends.record_end(database.keys, over, self.definition))


def cancel_wherever_it_is(database, kind, delivery):
    for source in ("delayed", "stream", "attempt"):
        if commit(database, kind.definition, delivery, CANCELED, "canceled", source).word == "DONE":
            return


def miss_deadline(database, kind, delivery):
    """Halt the occurrence of the run as its deadline does, and end the run wherever it is."""
    now_ms = database.clock.now_ms()
    database.call(occurrences.halt(database.keys, kind.occurrence, "timed_out", "timed out after 60 s", now_ms))
    cancel_wherever_it_is(database, kind, delivery)


def retry(database, delivery, state, later):
    database.call(run_ends.record_end(database.keys, build_ended(delivery, state, ending=later), None))


# What each event of a run is in scripts.
RUN_EVENTS = {
    "enqueue": lambda db, kind, _: kind.enqueue(db),
    "delay": lambda db, kind, _: db.call(runs.enqueue_run(db.keys, kind.message, due_at=LATER)),
    "promote": lambda db, kind, _: db.call(runs.promote_runs(db.keys, [kind.member], LATER)),
    "start": lambda db, _, delivery: db.call(runs.start_attempt(db.keys, delivery, "alice", NOW)),
    "skip": lambda db, kind, _: kind.fail_third(db),
    "succeed": lambda db, kind, delivery: commit(db, kind.definition, delivery, SUCCEEDED, "succeeded"),
    "fail": lambda db, kind, delivery: commit(db, kind.definition, delivery, FAILED, "failed"),
    "time_out": lambda db, kind, delivery: commit(db, kind.definition, delivery, TIMED_OUT, "timed_out"),
    "bury": lambda db, kind, delivery: commit(db, kind.definition, delivery, DEAD, "failed"),
    "retry": lambda db, _, delivery: retry(db, delivery, "failed", NextAttempt(5000, 0)),
    "requeue": lambda db, _, delivery: retry(db, delivery, "lost", NextAttempt(0, 1)),
    "suspend": lambda db, _, delivery: retry(db, delivery, "suspended", Suspension(LATER, "waits", wait="paid")),
    "signal": lambda db, kind, _: signal(db, run=kind.message.run),
    "cancel": cancel_wherever_it_is,
    "deadline": miss_deadline,
}

# How a run gets into a situation: by these steps, one after the other.
PENDING, IN_FLIGHT = ["wait on stream"], ["wait on stream", "take"]
SITUATIONS = {
    "absent": (None, []),
    "waits for a task": (RunState.PENDING, ["enqueue"]),
    "on its stream": (RunState.PENDING, PENDING),
    "in flight": (RunState.PENDING, IN_FLIGHT),
    "waits for a retry": (RunState.SCHEDULED, [*IN_FLIGHT, "retry"]),
    "suspended": (RunState.SUSPENDED, [*IN_FLIGHT, "suspend"]),
    "shown": (RunState.RUNNING, [*IN_FLIGHT, "start"]),
    "skipped": (RunState.SKIPPED, ["enqueue", "skip"]),
    **{
        str(state): (state, [*IN_FLIGHT, event])
        for (before, event), state in RUN_TRANSITIONS.items()
        if before is RunState.PENDING and event in ("succeed", "fail", "time_out", "bury", "cancel")
    },
}
# "Pending" is three situations, and each of its events belongs to some of them. Only who took an entry knows it, so
# nobody can start or end what is on its stream; that it could be started is therefore no fault.
POSSIBLE = {
    "waits for a task": {"skip"},
    "on its stream": {"start", "cancel", "deadline"},
    "in flight": set(RUN_EVENTS) - {"skip", "signal"},
}
KINDS = {"enqueued": (EnqueuedRun, {"skip", "deadline"}), "task": (TaskRun, {"delay"})}
CASES = [
    pytest.param(kind, situation, event, id=f"{name}: {event} what is {situation}")
    for name, (kind, excluded) in KINDS.items()
    for situation in SITUATIONS
    if kind is TaskRun or situation not in ("waits for a task", "skipped")
    for event in RUN_EVENTS
    if event not in excluded
]


def lead_into(database, kind, situation):
    """Take the run through the steps; gives what its last worker knows."""
    delivery = None
    for step in SITUATIONS[situation][1]:
        if step == "wait on stream":
            kind.wait_on_stream(database)
        elif step == "take":
            delivery = fetch_one(database)
        else:
            RUN_EVENTS[step](database, kind, delivery)
    return delivery or delivery_of(database, kind.message)


@pytest.mark.parametrize(("make", "situation", "event"), CASES)
def test_a_run_obeys_its_table(database, make, situation, event):
    kind, (state, _) = make(), SITUATIONS[situation]
    key = f"run:{kind.message.run}"
    delivery = lead_into(database, kind, situation)
    before = records(database)
    assert before.get(key, {}).get("state") == state

    RUN_EVENTS[event](database, kind, delivery)

    allowed = next_state(RUN_TRANSITIONS, state, event) if event in POSSIBLE.get(situation, RUN_EVENTS) else None
    if isinstance(kind, TaskRun) and (situation, event) == ("absent", "enqueue"):
        assert records(database)[key]["state"] == allowed
    elif allowed is None and event in ("skip", "enqueue", "deadline"):
        assert records(database).get(key) == before.get(key)
    elif allowed is None and event == "signal":
        # Kept for a wait that may come.
        assert records(database).get(key, {}).get("state") == state
    elif allowed is None:
        assert records(database) == before
    else:
        assert records(database)[key]["state"] == allowed


def test_every_row_of_the_table_of_runs_is_tried_where_it_is_possible():
    tried = {
        (SITUATIONS[situation][0], event)
        for _, situation, event in (case.values for case in CASES)
        if event in POSSIBLE.get(situation, RUN_EVENTS)
    }
    assert set(RUN_TRANSITIONS) <= tried


def test_every_state_of_a_run_is_a_situation():
    assert {state for state, _ in SITUATIONS.values()} == {None, *RunState}


# --- attempts

ATTEMPT_EVENTS = {
    "start": RUN_EVENTS["start"],
    "succeed": RUN_EVENTS["succeed"],
    "fail": RUN_EVENTS["fail"],
    "time_out": RUN_EVENTS["time_out"],
    "cancel": lambda db, kind, delivery: commit(db, kind.definition, delivery, CANCELED, "canceled"),
    "lose": RUN_EVENTS["requeue"],
    "suspend": RUN_EVENTS["suspend"],
}
ENDS = {end: event for (state, event), end in ATTEMPT_TRANSITIONS.items() if state is None}


@pytest.mark.parametrize("make", [EnqueuedRun, TaskRun])
@pytest.mark.parametrize("shown", ["shown", "not shown"])
@pytest.mark.parametrize("event", ATTEMPT_EVENTS)
@pytest.mark.parametrize("state", [None, *AttemptState])
def test_an_attempt_obeys_its_table(database, make, state, event, shown):
    kind = make()
    delivery = lead_into(database, kind, "in flight")
    key = f"attempt:{ids.attempt_id(kind.message.run, 0)}"
    if shown == "shown" and state is not None:
        ATTEMPT_EVENTS["start"](database, kind, delivery)
    if state is not None:
        ATTEMPT_EVENTS[ENDS[state]](database, kind, delivery)
    before = records(database)
    assert before.get(key, {}).get("state") == state

    ATTEMPT_EVENTS[event](database, kind, delivery)

    allowed = next_state(ATTEMPT_TRANSITIONS, state, event)
    if allowed is None:
        assert records(database) == before
    else:
        assert records(database)[key]["state"] == allowed


def test_every_event_of_an_attempt_is_tried():
    assert {event for _, event in ATTEMPT_TRANSITIONS} == set(ATTEMPT_EVENTS)
