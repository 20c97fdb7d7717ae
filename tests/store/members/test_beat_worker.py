from jobistemer.store.calls import heartbeats
from tests.support.clocks import NOW
from tests.support.shard_state import find_leaks, nothing_written, records, ttl_ms

LEASE = 15_000


def beat(database, worker="alice", now=NOW, since=NOW - 1000):
    return heartbeats.read_beat_reply(
        database.keys, database.call(heartbeats.beat_worker(database.keys, worker, now, LEASE, since, b"{}", "me"))
    )


def test_a_worker_says_that_it_lives(database):
    pulse = beat(database)
    assert pulse == heartbeats.BeatReply({}, [], [], set(), "", pulse.server_ms, frozenset(), "me")
    assert pulse.server_ms > 0
    assert records(database) == {"workers": {"alice": NOW}, "worker:alice": {"status": "{}"}, "identity": "me"}
    assert ttl_ms(database, "worker:alice") == 86_400_000
    assert find_leaks(database) == {}


def test_a_second_send_of_the_same_beat_changes_nothing(database):
    beat(database)
    with nothing_written(database):
        beat(database)


def test_who_has_been_silent_for_longer_than_the_lease_is_a_suspect(database):
    beat(database, "bob", NOW - LEASE)
    beat(database, "carol", NOW - LEASE - 1)
    assert beat(database).suspects == {"carol": NOW - LEASE - 1}


def test_a_beat_from_the_future_is_as_suspect(database):
    beat(database, "bob", NOW + LEASE)
    beat(database, "carol", NOW + LEASE + 1)
    assert beat(database).suspects == {"carol": NOW + LEASE + 1}


def test_at_most_fifty_suspects_of_each_kind_are_named(database):
    past = {f"past_{n}": NOW - LEASE - 1 - n for n in range(51)}
    future = {f"future_{n}": NOW + LEASE + 1 + n for n in range(51)}
    database.client.zadd(database.keys.workers, past | future)
    suspects = beat(database).suspects
    assert len(suspects) == 100
    assert sum(name.startswith("past") for name in suspects) == 50


def test_requests_to_cancel_are_reported_from_the_given_time_on(database):
    database.client.zadd(database.keys.cancels, {"old": NOW - 1001, "new": NOW - 1000})
    assert beat(database).cancels == ["new"]


def test_at_most_a_thousand_requests_are_reported_in_one_beat(database):
    database.client.zadd(database.keys.cancels, {f"run_{n}": NOW for n in range(1001)})
    assert len(beat(database).cancels) == 1000


def test_places_and_paused_queues_are_reported(database):
    database.client.sadd(database.keys.streams, "mail:9", "default:5")
    database.client.sadd(database.keys.paused, "mail")
    pulse = beat(database)
    assert (pulse.places, pulse.paused) == (["default:5", "mail:9"], {"mail"})


def test_a_worker_hears_what_it_was_told_to_do(database):
    beat(database)
    database.client.hset(database.keys.worker("alice"), "command", "quiet")
    assert beat(database).command == "quiet"


def test_a_worker_hears_what_is_on_hold_and_not_what_was(database):
    database.client.zadd(database.keys.holds, {"task/send": NOW + 1000, "task/old": NOW})
    assert beat(database).holds == {"task/send"}


def test_the_identity_is_made_once_and_a_beat_says_which_beat_was_there_before(database):
    assert (beat(database).identity, beat(database).found_ms) == ("me", NOW)
    other = heartbeats.beat_worker(database.keys, "bob", NOW, LEASE, NOW, b"{}", "other")
    reply = heartbeats.read_beat_reply(database.keys, database.call(other))
    assert (reply.identity, reply.found_ms) == ("me", None)
    database.client.flushdb()
    reply = heartbeats.read_beat_reply(database.keys, database.call(other))
    assert (reply.identity, reply.found_ms) == ("other", None)


def test_the_server_keeps_since_when_a_worker_is_a_suspect_whoever_looks(database):
    silent = NOW - LEASE - 1
    beat(database, "bob", silent)
    assert beat(database).sights == {"bob": NOW}
    assert beat(database, "alice", NOW + 700).sights == {"bob": NOW}
    # A new beat that is too old again begins a new watch.
    beat(database, "bob", silent + 1)
    assert beat(database, "alice", NOW + 900).sights == {"bob": NOW + 900}
    heartbeats.forget_worker(database, "bob", silent + 1, [])
    assert "bob" not in records(database).get("suspects", {})
