"""The scripts against the tables of `jobistemer/core/states.py`, state by state and event by event.

A run, an attempt and an occurrence are put into each state, and every event is tried in every one: what the table
allows leads where the table says; what it forbids leaves the record as it was, whoever tries (I6, I7, I10).
"""

import pytest

from jobistemer.core import ids
from jobistemer.core.endings import CANCELED, SUCCEEDED, Later, Over
from jobistemer.core.messages import Delivery
from jobistemer.core.models import Overlap
from jobistemer.core.planning import runs_of
from jobistemer.core.retries import NO_RETRIES
from jobistemer.core.states import (
    ATTEMPT_TRANSITIONS,
    OCCURRENCE_TRANSITIONS,
    RUN_TRANSITIONS,
    AttemptState,
    OccurrenceState,
    RunState,
    after,
)
from jobistemer.store import occurrences, runs
from tests.support.clocks import NOW
from tests.support.records import records
from tests.support.stories import MINUTE, T0, claim, decision, ended, enqueue, job, message, register, take, take_one, task

LATER = NOW + 3_600_000
DEAD, FAILED, TIMED_OUT = (Over(RunState(state), "failed") for state in ("dead", "failed", "timed_out"))


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
    first, message, third = (
        text for _, text in runs_of(definition, 1, occurrence, T0 + MINUTE, (T0 + MINUTE) * 1000)
    )
    member = f"default:5:{message.run}"

    def enqueue(self, database):
        if "due" not in records(database):
            register(database, self.definition)
        claim(database, self.definition, decision(T0 + MINUTE))

    def wait_on_stream(self, database):
        self.enqueue(database)
        first, self.third_delivery = take(database, "carol")
        database.call(runs.commit(database.keys, ended(first, worker="carol"), SUCCEEDED, self.definition))

    def fail_third(self, database):
        if not hasattr(self, "third_delivery"):
            self.third_delivery = next((each for each in take(database, "carol") if each.message == self.third), None)
        if self.third_delivery:
            over = ended(self.third_delivery, "failed", "carol")
            database.call(runs.commit(database.keys, over, DEAD, self.definition))


def delivery_of(database, kind):
    """The attempt that is in flight, or was; what a worker and whoever cancels knows of the run."""
    run = records(database).get(f"run:{kind.message.run}", {})
    entry = run.get("entry") or "0-1"
    return Delivery(b"", entry.encode(), kind.message, int(run.get("attempt", 0)), 0)


def commit(database, kind, delivery, over, state, source="attempt", worker="alice"):
    told = ended(delivery, state, worker, source)
    return database.call(runs.commit(database.keys, told, over, kind.definition))


def cancel_wherever_it_is(database, kind, delivery):
    for source in ("delayed", "stream", "attempt"):
        if commit(database, kind, delivery, CANCELED, "canceled", source).word == "DONE":
            return


# What each event of a run is in scripts.
RUN_EVENTS = {
    "enqueue": lambda db, kind, _: kind.enqueue(db),
    "delay": lambda db, kind, _: db.call(runs.enqueue_run(db.keys, kind.message, due_at=LATER)),
    "promote": lambda db, kind, _: db.call(runs.promote_runs(db.keys, [kind.member], LATER)),
    "start": lambda db, _, delivery: db.call(runs.start_attempt(db.keys, delivery, "alice", NOW)),
    "skip": lambda db, kind, _: kind.fail_third(db),
    "succeed": lambda db, kind, delivery: commit(db, kind, delivery, SUCCEEDED, "succeeded"),
    "fail": lambda db, kind, delivery: commit(db, kind, delivery, FAILED, "failed"),
    "time_out": lambda db, kind, delivery: commit(db, kind, delivery, TIMED_OUT, "timed_out"),
    "bury": lambda db, kind, delivery: commit(db, kind, delivery, DEAD, "failed"),
    "retry": lambda db, _, delivery: db.call(runs.retry(db.keys, ended(delivery, "failed"), Later(5000, 0))),
    "requeue": lambda db, _, delivery: db.call(runs.retry(db.keys, ended(delivery, "lost"), Later(0, 1))),
    "cancel": lambda db, kind, delivery: cancel_wherever_it_is(db, kind, delivery),
}

# How a run gets into a situation: by these steps, one after the other.
PENDING, IN_FLIGHT = ["wait on stream"], ["wait on stream", "take"]
SITUATIONS = {
    "absent": (None, []),
    "waits for a task": (RunState.PENDING, ["enqueue"]),
    "on its stream": (RunState.PENDING, PENDING),
    "in flight": (RunState.PENDING, IN_FLIGHT),
    "waits for a retry": (RunState.SCHEDULED, [*IN_FLIGHT, "retry"]),
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
    "on its stream": {"start", "cancel"},
    "in flight": set(RUN_EVENTS) - {"skip"},
}
KINDS = {"enqueued": (EnqueuedRun, {"skip"}), "task": (TaskRun, {"delay"})}
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
            delivery = take_one(database)
        else:
            RUN_EVENTS[step](database, kind, delivery)
    return delivery or delivery_of(database, kind)


@pytest.mark.parametrize(("make", "situation", "event"), CASES)
def test_a_run_obeys_its_table(database, make, situation, event):
    kind, (state, _) = make(), SITUATIONS[situation]
    key = f"run:{kind.message.run}"
    delivery = lead_into(database, kind, situation)
    before = records(database)
    assert before.get(key, {}).get("state") == state

    RUN_EVENTS[event](database, kind, delivery)

    allowed = after(RUN_TRANSITIONS, state, event) if event in POSSIBLE.get(situation, RUN_EVENTS) else None
    if isinstance(kind, TaskRun) and (situation, event) == ("absent", "enqueue"):
        assert records(database)[key]["state"] == allowed
    elif allowed is None and event in ("skip", "enqueue"):
        assert records(database).get(key) == before.get(key)
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
    "cancel": lambda db, kind, delivery: commit(db, kind, delivery, CANCELED, "canceled"),
    "lose": RUN_EVENTS["requeue"],
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

    allowed = after(ATTEMPT_TRANSITIONS, state, event)
    if allowed is None:
        assert records(database) == before
    else:
        assert records(database)[key]["state"] == allowed


def test_every_event_of_an_attempt_is_tried():
    assert {event for _, event in ATTEMPT_TRANSITIONS} == set(ATTEMPT_EVENTS)


# --- occurrences

QUEUED_JOB = job(overlap=Overlap.QUEUE)
ONE, TWO = T0 + MINUTE, T0 + 2 * MINUTE
OCCURRENCE = ids.occurrence_id(QUEUED_JOB.id, TWO)
EARLIER = ids.occurrence_id(QUEUED_JOB.id, ONE)


class OccurrenceCase:
    """The occurrence of the second instant; one of the first is live where it is to be queued."""

    definition = QUEUED_JOB
    message = next(runs_of(QUEUED_JOB, 1, OCCURRENCE, TWO, TWO * 1000))[1]

    def claim(self, database, state="pending"):
        claim(database, QUEUED_JOB, decision(TWO, state))

    def earlier(self, database):
        claim(database, QUEUED_JOB, decision(ONE))

    def end_earlier(self, database):
        earlier = next((each for each in take(database, "carol") if each.message.slot.occurrence == EARLIER), None)
        if earlier:
            database.call(runs.commit(database.keys, ended(earlier, worker="carol"), SUCCEEDED, QUEUED_JOB))

    def end(self, database, verdict, state="failed"):
        found = [each for each in take(database) if each.message.slot.occurrence == OCCURRENCE]
        delivery = found[0] if found else delivery_of(database, self)
        over = Over(RunState(state), verdict) if verdict else SUCCEEDED
        commit(database, self, delivery, over, "failed" if verdict else "succeeded")

    def cancel(self, database):
        keys = database.keys
        call = occurrences.cancel_queued(keys, QUEUED_JOB.id, OCCURRENCE, TWO * 1000, "not needed", 60_000)
        if database.call(call).word == "TAKEN":
            self.end(database, "canceled", "canceled")

    def start(self, database):
        self.end_earlier(database)
        database.call(occurrences.start_queued(database.keys, QUEUED_JOB, 1, TWO, TWO * 1000))

    def progress(self, database):
        delivery = delivery_of(database, self)
        database.call(runs.start_attempt(database.keys, delivery, "alice", NOW))


OCCURRENCE_EVENTS = {
    "fire": lambda db, case: case.claim(db),
    "queue": lambda db, case: (case.earlier(db), case.claim(db)),
    "skip": lambda db, case: case.claim(db, "skipped"),
    "miss": lambda db, case: case.claim(db, "missed"),
    "compress": lambda db, case: case.claim(db, "compressed"),
    "start": lambda db, case: case.start(db),
    "progress": lambda db, case: case.progress(db),
    "complete": lambda db, case: case.end(db, ""),
    "fail": lambda db, case: case.end(db, "failed"),
    "go_stale": lambda db, case: case.end(db, "failed_stale"),
    "time_out": lambda db, case: case.end(db, "timed_out"),
    "cancel": lambda db, case: case.cancel(db),
}
WAYS = {
    None: [],
    OccurrenceState.QUEUED: ["queue"],
    OccurrenceState.PENDING: ["fire"],
    OccurrenceState.RUNNING: ["fire", "progress"],
    OccurrenceState.SKIPPED: ["skip"],
    OccurrenceState.MISSED: ["miss"],
    OccurrenceState.COMPRESSED: ["compress"],
    OccurrenceState.COMPLETED: ["fire", "complete"],
    OccurrenceState.FAILED: ["fire", "fail"],
    OccurrenceState.FAILED_STALE: ["fire", "go_stale"],
    OccurrenceState.TIMED_OUT: ["fire", "time_out"],
    OccurrenceState.CANCELED: ["fire", "cancel"],
}


@pytest.mark.parametrize("event", OCCURRENCE_EVENTS)
@pytest.mark.parametrize("state", WAYS)
def test_an_occurrence_obeys_its_table(database, state, event):
    case, key = OccurrenceCase(), f"occurrence:{OCCURRENCE}"
    # The instant before is still to be decided where an earlier occurrence is needed.
    cursor = T0 if "queue" in (event, *WAYS[state]) and (state is None or state == "queued") else ONE
    register(database, QUEUED_JOB, cursor=cursor)
    for way in WAYS[state]:
        OCCURRENCE_EVENTS[way](database, case)
    before = records(database).get(key)
    assert (before or {}).get("state") == state

    OCCURRENCE_EVENTS[event](database, case)

    allowed = after(OCCURRENCE_TRANSITIONS, state, event)
    if allowed is None:
        assert records(database).get(key) == before
    else:
        assert records(database)[key]["state"] == allowed


def test_every_state_and_event_of_an_occurrence_is_tried():
    assert set(WAYS) == {None, *OccurrenceState}
    assert {event for _, event in OCCURRENCE_TRANSITIONS} == set(OCCURRENCE_EVENTS)


def test_a_queued_occurrence_that_was_cancelled_stays_so(database):
    register(database, QUEUED_JOB)
    case = OccurrenceCase()
    for event in ("queue", "cancel", "start"):
        OCCURRENCE_EVENTS[event](database, case)
    assert records(database)[f"occurrence:{OCCURRENCE}"]["state"] == "canceled"
