"""Runs that may have killed a worker: what waits in vain for a process goes to another worker, and not before."""

from __future__ import annotations

import pytest

from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.calls import heartbeats
from jobistemer.store.continuity import Continuity
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.fetch import returner as returner_module
from jobistemer.worker.fetch.returner import Returner
from jobistemer.worker.fetch.worker_parts import WorkerParts
from jobistemer.worker.slots import slots as slots_module
from jobistemer.worker.slots.slots import Slots
from tests.integration.worker.test_fetching import Bench
from tests.support.lifecycle import build_ended, enqueue, fetch, finish
from tests.support.step_system import StepWorker
from tests.support.worker_processes import wait_until
from tests.unit.worker.slots.test_isolation import GatedPool


def lose_all(database, count):
    """Runs whose worker has died: each has a crash on record."""
    for number in range(count):
        enqueue(database, f"run_{number}")
    for delivery in fetch(database, "victim", count=count):
        finish(database, build_ended(delivery, "lost", worker="victim"))


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("waited_s", [0.0, returner_module.SUSPECT_WAIT_S + 1])
def test_a_suspect_that_waits_long_for_a_process_goes_to_another_worker(database, monkeypatch, others, waited_s):
    # Given a worker that executes one suspect at a time and has fetched three
    monkeypatch.setattr(slots_module, "ProcessPool", lambda *_: GatedPool())
    lose_all(database, 3)
    settings = WorkerSettings(concurrency=4, app="no:app", max_suspects=1)
    bench, attempts = Bench(database, {"default": 0}, room=4), RunningAttempts()
    slots = Slots(bench.fetcher._handlers, settings, attempts, lambda _: None)
    bench.step()
    slots.put(bench.taken)
    wait_until(lambda: len(slots.waiting_suspects) == 2, "two of them wait")
    for attempt in slots.waiting_suspects:
        attempt.started -= waited_s
    now_ms = database.clock.now_ms()
    for name in ["alice", "bob"][: others + 1]:
        database.call(heartbeats.beat_worker(database.keys, name, now_ms, 15_000, now_ms, b"{}", "id"))
    parts = WorkerParts(
        "alice", settings, {}, bench.queue_order, bench.prefetch, attempts, Shutdown(), Liveness(), Continuity(),
        DefinitionCache(),
    )  # fmt: skip

    # When its fetching thread looks for what waits in vain
    Returner(database, parts, slots).step()

    # Then what has waited long is there for the other one, with no further crash
    other = Bench(database, {"default": 0}, room=8, consumer="bob")
    other.step()
    go = bool(others and waited_s)
    told = [(each.delivery.message.run, each.delivery.attempt, each.delivery.crashes) for each in other.taken]
    assert len(told) == (2 if go else 0)
    assert {(attempt, crashes) for _, attempt, crashes in told} <= {(1, 1)}
    assert len(slots.waiting_suspects) == (0 if go else 2)
    assert bench.prefetch.in_flight == (1 if go else 3)


def test_suspects_that_wait_leave_their_slots_to_other_runs(database, monkeypatch):
    monkeypatch.setattr(slots_module, "ProcessPool", lambda *_: GatedPool())
    lose_all(database, 4)
    bench = Bench(database, {"default": 0}, room=4)
    settings = WorkerSettings(concurrency=2, app="no:app", max_suspects=1)
    slots = Slots(bench.fetcher._handlers, settings, RunningAttempts(), lambda _: None)
    bench.step()
    slots.put(bench.taken)
    wait_until(lambda: len(slots.waiting_suspects) == 3, "three of them wait")
    assert slots.check([]) == 3
    assert len(slots.take_unstarted()) == 3
    assert slots.check([]) == 0


def test_a_worker_prepares_for_suspects_while_another_one_is_silent_and_at_no_other_time(database, app, clock):
    alice, bob = (StepWorker(database, app, name) for name in ("alice", "bob"))
    bob.beat()
    alice.beat()
    assert alice.silent_seen == 0
    clock.advance(16)
    alice.beat()
    assert alice.silent_seen == 1
    bob.beat()
    alice.beat()
    assert alice.silent_seen == 1
