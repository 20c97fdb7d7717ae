"""Prefetch: how much is fetched ahead."""

from __future__ import annotations

import pytest

from jobistemer.worker.attempts.prefetch import MAX_PREFETCH, Prefetch


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
