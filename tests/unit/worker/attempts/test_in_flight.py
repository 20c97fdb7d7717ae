"""Prefetch: how much is fetched ahead."""

from __future__ import annotations

import pytest

from jobistemer.worker.attempts.in_flight import MAX_PREFETCH, Prefetch


def keys(count, stream=b"s"):
    return [(stream, b"%d-0" % number) for number in range(count)]


def worked(prefetch, seconds_each, times=50):
    for _ in range(times):
        prefetch.add(keys(10))
        prefetch.finish(keys(10), 10 * seconds_each)


@pytest.mark.parametrize(
    ("concurrency", "seconds_each", "free"),
    [
        # Fifty milliseconds of work, at least a slot's worth, at most a thousand.
        (8, 10.0, 8),
        (8, 0.05, 8),
        (8, 0.005, 80),
        (8, 0.000001, MAX_PREFETCH),
        (1, 60.0, 1),
        (1000, 60.0, 1000),
    ],
)
def test_room_is_bounded_in_time(concurrency, seconds_each, free):
    prefetch = Prefetch(concurrency)
    worked(prefetch, seconds_each)
    assert prefetch.capacity() == pytest.approx(free, abs=1)


def test_what_is_taken_takes_room_until_it_is_ended():
    prefetch = Prefetch(4)
    prefetch.add(keys(3))
    assert (prefetch.capacity(), prefetch.in_flight) == (1, 3)
    prefetch.finish(keys(2), 100.0)
    assert (prefetch.capacity(), prefetch.in_flight) == (3, 1)


def test_an_entry_that_is_ended_twice_counts_once():
    prefetch = Prefetch(4)
    prefetch.add(keys(2))
    prefetch.finish(keys(1), 60.0)
    prefetch.finish(keys(1), 60.0)
    prefetch.remove(keys(1))
    assert (prefetch.capacity(), prefetch.in_flight) == (3, 1)


def test_entries_of_two_streams_with_one_id_are_two():
    prefetch = Prefetch(4)
    prefetch.add([*keys(1, b"a"), *keys(1, b"b")])
    assert prefetch.in_flight == 2
    assert prefetch.entries() == {(b"a", b"0-0"), (b"b", b"0-0")}


def test_more_than_there_is_room_for_is_no_error():
    prefetch = Prefetch(1)
    prefetch.add(keys(3))
    assert prefetch.capacity() == -2


def test_waiting_ends_when_something_ends():
    prefetch = Prefetch(1)
    prefetch.add(keys(1))
    prefetch.remove(keys(1))
    prefetch.wait(60)


def test_room_that_one_reader_has_reserved_is_not_there_for_another():
    prefetch = Prefetch(4)
    with prefetch.reserve() as first:
        assert (first, prefetch.capacity()) == (4, 0)
        with prefetch.reserve() as second:
            assert second == 0
        prefetch.add([(b"stream", b"1-0")])
    assert prefetch.capacity() == 3


def test_slots_with_long_runs_are_not_free_and_when_all_are_nothing_is_taken():
    long = [0]
    prefetch = Prefetch(3, lambda: long[0])
    worked(prefetch, 0.000001)
    assert prefetch.capacity() == MAX_PREFETCH
    rooms = []
    for number in range(3):
        prefetch.add([(b"s", b"long-%d" % number)])
        long[0] += 1
        rooms.append(prefetch.capacity())
    assert rooms == [MAX_PREFETCH, MAX_PREFETCH, 0]


def test_a_slot_that_a_blocked_loop_holds_up_is_replaced():
    prefetch = Prefetch(2, lambda: 2)
    prefetch.add(keys(2))
    assert (prefetch.capacity(), prefetch.has_idle_slot) == (0, False)
    prefetch.blocked = 1
    assert (prefetch.capacity(), prefetch.has_idle_slot) == (1, True)


@pytest.mark.parametrize(
    ("long", "seconds_each", "held", "allowed"),
    [
        # Behind runs that are all long nothing may wait.
        (4, 0.000001, 4, None),
        (4, 0.000001, 5, 0),
        # Where slots become free, twice of what would be fetched may wait: 50 ms of work is an estimate.
        (2, 0.01, 20, None),
        (2, 0.01, 50, 20),
        (0, 0.000001, 1000, None),
    ],
)
def test_what_waits_in_vain_is_told_from_what_begins_soon(long, seconds_each, held, allowed):
    prefetch = Prefetch(4, lambda: long)
    worked(prefetch, seconds_each)
    prefetch.add([(b"s", b"held-%d" % number) for number in range(held)])
    assert prefetch.allowed_waiting() == (allowed if allowed is None else pytest.approx(allowed, abs=2))


def test_no_more_is_fetched_than_a_worker_may_still_execute():
    prefetch, done = Prefetch(8), [0]
    worked(prefetch, 0.000001)
    prefetch.count_runs_left = lambda: 20 - done[0]
    assert prefetch.capacity() == 20
    prefetch.add(keys(15))
    assert prefetch.capacity() == 5
    done[0] = 12
    prefetch.finish(keys(12), 0.0)
    assert prefetch.capacity() == 5
