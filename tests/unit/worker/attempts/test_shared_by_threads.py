"""What several threads of a worker change at a time, with an interpreter that switches between them all the time."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest

from jobistemer.worker.attempts import definition_cache, in_flight
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.attempts.metrics import AttemptMetrics

THREADS, ROUNDS = 3, 3_000


@pytest.fixture(autouse=True)
def _switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_side_by_side(*steps) -> list[Exception]:
    """Call each step many times in a thread of its own. Returns what they have raised."""
    raised: list[Exception] = []

    def work(step) -> None:
        for number in range(ROUNDS):
            try:
                step(number)
            except Exception as error:
                raised.append(error)

    threads = [threading.Thread(target=work, args=(step,)) for step in steps]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return raised


def test_ends_are_counted_while_others_read_the_metrics():
    metrics = AttemptMetrics()
    for name in ("succeeded", "failed"):
        one = metrics.add_thread()
        one._task_metrics(SimpleNamespace(handler="greet", queue="default")).ends[name, ""] = 1
    ends = one.tasks["greet", "default"].ends

    def count(number: int) -> None:
        for each in range(50):
            ends[str(each), "dead"] += number
        ends.clear()

    assert run_side_by_side(count, lambda _: metrics.measures()) == []


def test_the_beats_of_several_shards_remember_what_was_cancelled_and_no_more(monkeypatch):
    monkeypatch.setattr(in_flight, "MAX_CANCELS", 10)
    attempts = RunningAttempts()

    def cancel_as(who: int):
        return lambda number: attempts.cancel({f"{who} {number} {each}": "" for each in range(20)})

    assert run_side_by_side(*map(cancel_as, range(THREADS))) == []
    assert len(attempts._canceled) == 10


def test_the_committing_threads_share_the_definitions(monkeypatch):
    monkeypatch.setattr(definition_cache, "MAX_CACHED", 10)
    monkeypatch.setattr(definition_cache.jobs, "find_version", lambda *_: object())
    cache = DefinitionCache()

    def find_as(who: int):
        return lambda number: [
            cache.find(None, SimpleNamespace(job=str(who), version=10 * number + each)) for each in range(10)
        ]

    assert run_side_by_side(*map(find_as, range(THREADS))) == []
    assert len(cache._cache) == 10
