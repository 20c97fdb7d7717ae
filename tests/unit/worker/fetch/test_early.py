"""Attempts that were fetched before they are due begin at their instant, and not before."""

import threading
from types import SimpleNamespace

import pytest

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.worker.attempts.in_flight import Prefetch
from jobistemer.worker.fetch import early as early_module
from jobistemer.worker.fetch.early import MAX_EARLY_MS, EarlyAttempts, is_early
from tests.support.clocks import NOW, FrozenClock


def attempt(name, due_ms, of_occurrence=True):
    message = SimpleNamespace(enqueued_at=due_ms, task_ref="ref" if of_occurrence else None)
    return SimpleNamespace(name=name, key=(b"s", name), delivery=SimpleNamespace(message=message))


class Slots:
    """What has been put into slots, and when."""

    def __init__(self, clock, expected):
        self.clock, self.expected, self.put_at, self.all_put = clock, expected, {}, threading.Event()

    def put(self, attempts):
        self.put_at.update((each.name, self.clock.now_ms()) for each in attempts)
        if len(self.put_at) == self.expected:
            self.all_put.set()


@pytest.mark.parametrize(
    ("ahead_ms", "of_occurrence", "early"),
    [
        (1, True, True),
        (MAX_EARLY_MS, True, True),
        (0, True, False),
        (-5, True, False),
        (MAX_EARLY_MS + 1, True, False),
        (1, False, False),
    ],
)
def test_early_is_what_a_ticker_has_claimed_ahead(ahead_ms, of_occurrence, early):
    assert is_early(attempt("a", NOW + ahead_ms, of_occurrence), NOW) is early


def test_each_attempt_begins_at_its_instant():
    class PassingClock(FrozenClock):
        """Time passes in steps of 10 ms, whenever somebody asks how long it takes."""

        def seconds_until(self, instant_ms):
            self.advance(0.010)
            return min(super().seconds_until(instant_ms), 0.001)

    clock = PassingClock()
    slots, prefetch = Slots(clock, 3), Prefetch(8)
    early = EarlyAttempts(clock, prefetch, slots.put)
    early.add([attempt("later", NOW + 200), attempt("sooner", NOW + 100), attempt("sooner too", NOW + 100)])
    assert slots.all_put.wait(60)
    assert slots.put_at["sooner"] == slots.put_at["sooner too"] >= NOW + 100
    assert slots.put_at["later"] >= NOW + 200
    assert early.take_unstarted() == []


def test_what_is_not_due_is_given_back_and_never_begins():
    clock = FrozenClock()
    slots, prefetch = Slots(clock, 1), Prefetch(2)
    early = EarlyAttempts(clock, prefetch, slots.put)
    given = [attempt(name, NOW + 500) for name in "abc"]
    others = set(threading.enumerate())
    early.add(given)
    (thread,) = set(threading.enumerate()) - others
    assert early.take_unstarted() == given
    thread.join(60)
    assert not thread.is_alive()
    clock.advance(1)
    early.add([attempt("next", NOW + 900)])
    assert slots.all_put.wait(60)
    assert list(slots.put_at) == ["next"]


def test_after_a_step_back_of_the_clock_an_attempt_is_not_kept_for_long():
    clock = FrozenClock()
    slots = Slots(clock, 1)
    early = EarlyAttempts(clock, Prefetch(8), slots.put, most_s=0.01)
    early.add([attempt("a", NOW + 200)])
    # The clock stands still, as after a step back.
    assert slots.all_put.wait(60)


def test_an_attempt_that_comes_when_the_thread_is_about_to_leave_begins_all_the_same(monkeypatch):
    class LateWait(threading.Condition):
        """Its wait comes to its end, and before it has the lock again another thread adds an attempt."""

        def wait(self, timeout=None):
            if timeout == early_module.IDLE_S and not late:
                late.append(attempt("late", NOW - 1))
                self.release()
                early.add(late)
                self.acquire()
                return False
            return super().wait(timeout)

    late = []
    monkeypatch.setattr(threading, "Condition", LateWait)
    clock = FrozenClock()
    slots = Slots(clock, 2)
    early = EarlyAttempts(clock, Prefetch(8), slots.put)
    early.add([attempt("first", NOW)])
    assert slots.all_put.wait(10)
    assert list(slots.put_at) == ["first", "late"]
    early.take_unstarted()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_an_error_of_the_slots_another_thread_goes_on():
    clock, refusals = FrozenClock(), [RuntimeError("no slot")]
    slots, refused = Slots(clock, 1), threading.Event()

    def put(attempts):
        if refusals:
            refused.set()
            raise refusals.pop()
        slots.put(attempts)

    early = EarlyAttempts(clock, Prefetch(8), put)
    others = set(threading.enumerate())
    early.add([attempt("refused", NOW)])
    assert refused.wait(60)
    for thread in set(threading.enumerate()) - others:
        thread.join(60)
    early.add([attempt("next", NOW)])
    assert slots.all_put.wait(60)


def test_without_a_thread_the_fetching_one_waits_itself(monkeypatch, caplog):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    class QuickClock(FrozenClock):
        def seconds_until(self, instant_ms):
            self.advance(0.1)
            return 0.0

    monkeypatch.setattr(early_module, "start_thread", refuse)
    clock = QuickClock()
    slots = Slots(clock, 2)
    early = EarlyAttempts(clock, Prefetch(8), slots.put)
    early.add([attempt("a", NOW + 100), attempt("b", NOW + 100)])
    assert set(slots.put_at) == {"a", "b"}
    assert "can't start new thread" in caplog.text


def test_what_is_not_due_takes_no_room_from_what_is():
    prefetch = Prefetch(4)
    early = [(b"s", b"%d" % number) for number in range(3)]
    prefetch.add(early)
    assert prefetch.capacity() == 1
    prefetch.early.add(early)
    assert (prefetch.capacity(), prefetch.has_idle_slot) == (4, True)
    prefetch.add([(b"s", b"ready")])
    assert prefetch.capacity() == 3
    prefetch.early.remove(early)
    assert (prefetch.capacity(), prefetch.has_idle_slot) == (0, False)


def test_no_more_is_kept_than_can_begin_soon_and_other_streams_are_read_on():
    prefetch, long = Prefetch(4, lambda: long[0]), [0]
    kept = [(b"s", b"%d" % number) for number in range(4)]
    prefetch.add(kept)
    prefetch.early.add(kept[:3])
    assert list(prefetch.full_streams()) == []
    prefetch.early.add(kept[3:])
    assert list(prefetch.full_streams()) == [b"s"]
    assert prefetch.capacity() == 4
    # With all slots busy for long, nothing more is kept at all.
    prefetch.early.remove(kept[1:])
    assert list(prefetch.full_streams()) == []
    long[0] = 4
    assert list(prefetch.full_streams()) == [b"s"]
    prefetch.early.remove(kept[:1])
    assert (list(prefetch.full_streams()), prefetch.early.total) == ([], 0)


def test_only_what_is_admitted_at_the_instant_begins_and_the_others_are_no_longer_held():
    clock, asked = FrozenClock(), []
    slots, prefetch = Slots(clock, 1), Prefetch(8)

    def admit(attempts):
        asked.extend(each.name for each in attempts)
        return [each for each in attempts if each.name == "a"]

    early = EarlyAttempts(clock, prefetch, slots.put, admit, most_s=60)
    prefetch.add([(b"s", name) for name in ("a", "b", "later")])
    early.add([attempt("a", NOW + 100), attempt("b", NOW + 100), attempt("later", NOW + 900)])
    clock.advance(0.1)
    assert slots.all_put.wait(60)
    assert (asked, list(slots.put_at), {name for _, name in prefetch.entries()}) == (["a", "b"], ["a"], {"a", "later"})
    assert [each.name for each in early.take_unstarted()] == ["later"]


@pytest.mark.parametrize("error", [NotConnected("away"), ServerRefused("OOM"), ValueError("a bug")])
def test_what_could_not_be_admitted_is_asked_for_again_and_holds_up_no_other_instant(monkeypatch, caplog, error):
    monkeypatch.setattr(early_module, "RETRY_S", 0.05)
    clock, failures = FrozenClock(), [error, error]
    slots = Slots(clock, 2)

    def admit(attempts):
        if attempts[0].name == "first" and failures:
            raise failures.pop()
        return attempts

    early = EarlyAttempts(clock, Prefetch(8), slots.put, admit, most_s=60)
    early.add([attempt("first", NOW), attempt("second", NOW + 1)])
    clock.advance(0.001)
    assert slots.all_put.wait(60)
    assert list(slots.put_at) == ["second", "first"]
    assert str(error) in caplog.text
    assert early.take_unstarted() == []


def test_what_could_not_be_admitted_is_given_back_by_a_worker_that_ends():
    clock, refused = FrozenClock(), threading.Event()
    prefetch = Prefetch(2)

    def refuse(_attempts):
        refused.set()
        raise NotConnected("away")

    early = EarlyAttempts(clock, prefetch, Slots(clock, 1).put, refuse)
    given = [attempt("a", NOW), attempt("b", NOW)]
    prefetch.add([each.key for each in given])
    early.add(given)
    assert refused.wait(60)
    assert early.take_unstarted() == given
    assert prefetch.entries() == {each.key for each in given}
    assert prefetch.early.total == 0
