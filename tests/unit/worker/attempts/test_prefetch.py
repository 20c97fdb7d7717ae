"""Room: how much is fetched ahead."""

from __future__ import annotations

import pytest

from jobistemer.worker.attempts.prefetch import MOST_AHEAD, Room


def keys(count, stream=b"s"):
    return [(stream, b"%d-0" % number) for number in range(count)]


def worked(room, seconds_each, times=50):
    for _ in range(times):
        room.take(keys(10))
        room.ended(keys(10), 10 * seconds_each)


@pytest.mark.parametrize(
    ("concurrency", "seconds_each", "free"),
    [
        # Fifty milliseconds of work, at least a slot's worth, at most a thousand.
        (8, 10.0, 8),
        (8, 0.05, 8),
        (8, 0.005, 80),
        (8, 0.000001, MOST_AHEAD),
        (1, 60.0, 1),
        (1000, 60.0, 1000),
    ],
)
def test_room_is_bounded_in_time(concurrency, seconds_each, free):
    room = Room(concurrency)
    worked(room, seconds_each)
    assert room.free() == pytest.approx(free, abs=1)


def test_what_is_taken_takes_room_until_it_is_ended():
    room = Room(4)
    room.take(keys(3))
    assert (room.free(), room.in_flight) == (1, 3)
    room.ended(keys(2), 100.0)
    assert (room.free(), room.in_flight) == (3, 1)


def test_an_entry_that_is_ended_twice_counts_once():
    room = Room(4)
    room.take(keys(2))
    room.ended(keys(1), 60.0)
    room.ended(keys(1), 60.0)
    room.give_back(keys(1))
    assert (room.free(), room.in_flight) == (3, 1)


def test_entries_of_two_streams_with_one_id_are_two():
    room = Room(4)
    room.take([*keys(1, b"a"), *keys(1, b"b")])
    assert room.in_flight == 2
    assert room.held() == {(b"a", b"0-0"), (b"b", b"0-0")}


def test_more_than_there_is_room_for_is_no_error():
    room = Room(1)
    room.take(keys(3))
    assert room.free() == -2


def test_waiting_ends_when_something_ends():
    room = Room(1)
    room.take(keys(1))
    room.give_back(keys(1))
    room.wait(60)


def test_room_that_one_reader_has_reserved_is_not_there_for_another():
    room = Room(4)
    with room.reserved() as first:
        assert (first, room.free()) == (4, 0)
        with room.reserved() as second:
            assert second == 0
        room.take([(b"stream", b"1-0")])
    assert room.free() == 3
