"""Runs that may have killed a worker: how many at a time, in which order, and what becomes of those that wait."""

from __future__ import annotations

import errno
import os
import threading
import time
from queue import SimpleQueue
from unittest.mock import Mock

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.message import Delivery
from jobistemer.core.settings import WorkerSettings
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.process.failures import ProcessNotStarted
from jobistemer.worker.process.handler_process import HandlerProcess
from jobistemer.worker.process.pool import ProcessPool
from jobistemer.worker.slots import isolation as isolation_module
from jobistemer.worker.slots.concurrency_limit import ConcurrencyLimit
from jobistemer.worker.slots.isolation import Isolation
from jobistemer.worker.slots.slots import Slots
from tests.support.lifecycle import build_attempt, message
from tests.support.worker_processes import wait_until
from tests.unit.worker.execute.test_execute import HERE


class GatedPool(ProcessPool):
    """A pool whose processes fail to start, each when it is told to: who asks for one is seen, and no process is needed."""

    def __init__(self) -> None:
        super().__init__(WorkerSettings(app="no:app"), 1)
        self.asked: SimpleQueue[str] = SimpleQueue()
        self.gate = threading.Semaphore(0)
        self.ended = threading.Event()

    def acquire(self) -> HandlerProcess:
        self.asked.put("asked")
        self.gate.acquire(timeout=60)
        raise ProcessNotStarted("not in this test")

    def end(self) -> None:
        self.ended.set()


def make_attempt(name: str, crashes: int = 1, executor: str = "auto") -> Attempt:
    handler = Handler("greet", lambda: None, Options(executor=executor))
    return build_attempt(HERE, Delivery(b"s", name.encode(), message(run=name), 0, crashes), handler)


class Scene:
    """An isolation whose attempts each have a thread, as slots have."""

    def __init__(self, places: int, *, keeps_processes: bool = False) -> None:
        self.pool = GatedPool()
        self.attempts = RunningAttempts()
        self.isolation = Isolation(self.pool, self.attempts, places, keeps_processes=keeps_processes)
        self.reported: SimpleQueue[Attempt] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, attempt: Attempt) -> None:
        """Run an attempt and see that it asks for a process."""
        self._threads.append(
            threading.Thread(target=self.isolation.run, args=(attempt, self.reported.put), daemon=True)
        )
        self._threads[-1].start()
        assert self.pool.asked.get(timeout=60) == "asked"

    def end_one(self) -> str:
        """Let one attempt end; the run that it was."""
        self.pool.gate.release()
        return self.reported.get(timeout=60).delivery.message.run

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in self._threads)


def test_no_more_suspects_run_at_a_time_than_are_allowed_and_a_slot_does_not_wait_for_the_others():
    scene = Scene(places=2)
    scene.begin(make_attempt("a"))
    scene.begin(make_attempt("b"))

    for name in ("c", "d", "e"):
        scene.isolation.run(make_attempt(name), scene.reported.put)

    assert (len(scene.isolation.waiting), scene.pool.asked.empty()) == (3, True)
    ended = {scene.end_one() for _ in range(5)}
    scene.join()
    assert (ended, scene.isolation.waiting) == ({"a", "b", "c", "d", "e"}, [])


def test_the_run_with_the_most_crashes_on_record_goes_first_among_those_that_wait():
    scene = Scene(places=1)
    scene.begin(make_attempt("first"))
    for name, crashes in (("bystander", 1), ("likely", 2), ("another", 1)):
        scene.isolation.run(make_attempt(name, crashes), scene.reported.put)

    assert [scene.end_one() for _ in range(4)] == ["first", "likely", "bystander", "another"]


def test_a_task_with_a_process_of_its_own_waits_for_no_suspect():
    scene = Scene(places=1)
    scene.begin(make_attempt("suspect"))

    scene.begin(make_attempt("own", crashes=1, executor="process"))

    assert {scene.end_one(), scene.end_one()} == {"suspect", "own"}


def test_processes_end_with_the_last_suspect_unless_tasks_ask_for_processes():
    for keeps in (False, True):
        scene = Scene(places=2, keeps_processes=keeps)
        scene.begin(make_attempt("a"))
        scene.begin(make_attempt("b"))
        scene.end_one()
        assert not scene.pool.ended.is_set()
        scene.end_one()
        scene.join()
        assert scene.pool.ended.wait(0 if keeps else 10) is not keeps


def test_while_a_worker_is_silent_one_process_is_started_ahead_and_ends_when_no_suspect_came(monkeypatch):
    monkeypatch.setattr(isolation_module, "SPARE_S", 0.0)
    scene = Scene(places=2)
    for _ in range(3):
        scene.isolation.expect_suspects()
    assert scene.pool.asked.get(timeout=60) == "asked"
    assert (scene.pool.asked.empty(), scene.pool.ended.is_set()) == (True, False)
    scene.pool.gate.release()
    assert scene.pool.ended.wait(60)


def test_a_suspect_waits_for_the_process_that_is_being_started_and_starts_no_second_one():
    scene = Scene(places=2)
    scene.isolation.expect_suspects()
    assert scene.pool.asked.get(timeout=60) == "asked"
    slot = threading.Thread(target=scene.isolation.run, args=(make_attempt("a"), scene.reported.put), daemon=True)
    slot.start()
    wait_until(lambda: scene.isolation._free == 1, "the suspect has its place")
    assert scene.pool.asked.empty()
    # The one that was started ahead is there now, and the suspect takes it.
    scene.pool.gate.release()
    assert scene.pool.asked.get(timeout=60) == "asked"
    assert scene.end_one() == "a"
    slot.join(timeout=60)
    assert not scene.pool.ended.is_set()


class NoDescriptors(GatedPool):
    """A pool on a machine that has no more file descriptors."""

    def acquire(self) -> HandlerProcess:
        raise OSError(errno.EMFILE, "Too many open files")


def test_whatever_a_start_ahead_raises_the_next_silent_worker_finds_the_isolation_ready(monkeypatch):
    monkeypatch.setattr(isolation_module, "SPARE_S", 0.0)
    pool = NoDescriptors()
    isolation = Isolation(pool, RunningAttempts(), 1, keeps_processes=False)
    for _ in range(2):
        pool.ended.clear()
        isolation.expect_suspects()
        assert pool.ended.wait(60)
        assert (isolation._keeps_spare, isolation._spare_started.is_set()) == (False, True)


def test_a_thread_that_cannot_be_started_holds_up_no_suspect_and_the_next_look_tries_again(monkeypatch):
    monkeypatch.setattr(isolation_module, "SPARE_S", 0.0)
    scene = Scene(places=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        scene.isolation.expect_suspects()
        assert (scene.isolation._keeps_spare, scene.isolation._spare_started.is_set()) == (False, True)
        # The process of the last suspect ends in its slot.
        scene.pool.gate.release()
        scene.isolation.run(make_attempt("a"), scene.reported.put)
        assert scene.pool.ended.is_set()
    scene.pool.asked.get()
    scene.isolation.expect_suspects()
    assert scene.pool.asked.get(timeout=60) == "asked"
    scene.pool.gate.release()


def test_a_suspect_does_not_wait_for_ever_for_a_start_ahead_that_hangs(monkeypatch):
    monkeypatch.setattr(isolation_module, "START_S", 0.0)
    scene = Scene(places=2)
    scene.isolation.expect_suspects()
    assert scene.pool.asked.get(timeout=60) == "asked"
    scene.begin(make_attempt("a"))
    # The one that hangs, and the suspect's.
    scene.pool.gate.release(2)
    assert scene.reported.get(timeout=60).delivery.message.run == "a"


def test_a_worker_that_falls_silent_as_the_time_ends_makes_it_longer_or_begins_it_anew(monkeypatch):
    scene = Scene(places=1)
    isolation = scene.isolation
    isolation.expect_suspects()
    assert isolation._stop_keeping() > 0
    assert isolation._keeps_spare
    isolation._spare_until = time.monotonic()
    assert isolation._stop_keeping() == 0
    # It is looked at under the lock that ends the time, so none is told that a spare is kept of which nobody knows.
    assert not isolation._keeps_spare
    isolation.expect_suspects()
    assert isolation._keeps_spare
    for _ in range(2):
        assert scene.pool.asked.get(timeout=60) == "asked"
        scene.pool.gate.release()


def test_a_process_for_which_no_descriptor_is_left_was_not_started_and_leaves_none_open(monkeypatch):
    before = sorted(os.listdir("/proc/self/fd"))
    for refusing in (
        "socket.socketpair",
        "subprocess.Popen",
        "jobistemer.worker.process.handler_process._avoid_standard_streams",
    ):
        with monkeypatch.context() as patch, pytest.raises(ProcessNotStarted, match="Too many open files"):
            patch.setattr(refusing, Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
            HandlerProcess("no:app", ".", 0)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_nothing_is_started_ahead_where_processes_are_kept_for_tasks():
    scene = Scene(places=2, keeps_processes=True)
    scene.isolation.expect_suspects()
    assert not scene.isolation._keeps_spare


def test_what_waits_can_be_taken_back_and_late_ones_by_their_shard():
    scene = Scene(places=1)
    scene.begin(make_attempt("a"))
    early, late = make_attempt("b"), make_attempt("c")
    late.started = early.started + 10
    scene.isolation.run(early, scene.reported.put)
    scene.isolation.run(late, scene.reported.put)

    assert scene.isolation.take_late(object(), late.started + 1) == []
    assert scene.isolation.take_late(HERE, early.started + 1) == [early]
    assert scene.isolation.take_unstarted() == [late]
    assert [scene.end_one(), scene.isolation.waiting] == ["a", []]


def test_suspects_that_wait_use_up_none_of_the_places_that_both_kinds_of_slots_share():
    # Given an app with both kinds of handlers and one slot, and a suspect that waits
    scene = Scene(places=1)
    scene.begin(make_attempt("running"))
    put: list[Attempt] = []

    class Executor:
        def put(self, attempts):
            put.extend(attempts)

        def take_unstarted(self):
            return []

    limit = ConcurrencyLimit(1, lambda _: Executor(), [scene.isolation])
    suspect, plain = make_attempt("waits"), make_attempt("plain", crashes=0)
    limit.put([suspect, plain])
    scene.isolation.run(put.pop(), scene.reported.put)
    assert put == []

    # When the limit learns of it, the next attempt begins; and what is taken back is counted once
    limit.blocked = len(scene.isolation.waiting)
    limit.put([])
    assert put == [plain]
    assert limit.take_unstarted() == [suspect]
    limit.blocked = 0
    limit.release()
    limit.put([suspect, plain])
    assert put == [plain, suspect]
    scene.end_one()


def test_a_worker_without_an_app_to_import_has_no_isolation_and_says_so_of_none():
    slots = Slots({}, WorkerSettings(), RunningAttempts(), lambda _: None)
    assert (slots.waiting_suspects, slots.take_late_suspects(HERE, 1e9)) == ((), [])


@pytest.mark.parametrize("number", [0, 1001])
def test_a_number_of_suspects_out_of_range_is_refused(number):
    with pytest.raises(Misconfigured, match=f"max_suspects is {number}"):
        WorkerSettings(max_suspects=number)


@pytest.mark.parametrize("executor", ["process", "auto"], ids=["a task for processes", "a suspect"])
def test_what_is_taken_back_while_its_process_starts_is_neither_begun_nor_reported(executor):
    scene = Scene(1)
    attempt = make_attempt("run_1", executor=executor)
    scene.begin(attempt)
    # When the worker ends before the process is there
    assert scene.attempts.take_preparing() == [attempt]
    scene.pool.gate.release()
    scene.join()
    # Then the slot leaves it to those who have it by now
    assert (scene.reported.empty(), attempt.outcome) == (True, None)
    assert scene.attempts.take_preparing() == []


def test_an_attempt_whose_process_is_not_started_for_an_unknown_reason_is_reported(monkeypatch):
    pool, reported, attempts = ProcessPool(WorkerSettings(app="no:app"), 1), SimpleQueue[Attempt](), RunningAttempts()
    monkeypatch.setattr(pool, "acquire", Mock(side_effect=MemoryError("no page left")))
    Isolation(pool, attempts, 1, keeps_processes=True).run(make_attempt("run_1", executor="process"), reported.put)
    assert reported.get_nowait().outcome.error.startswith("MemoryError: no page left")
    assert attempts.take_preparing() == []
