"""A namespace for a while: taken when nobody has it, and removed with all that is in it and nothing else."""

from __future__ import annotations

import pytest

from jobistemer import Jobistemer
from jobistemer.bench.namespace import reserve_namespace
from jobistemer.core.errors import Conflict
from jobistemer.store.actions.scratch_namespace import acquire, find_owner
from jobistemer.store.namespace import Namespace

NEIGHBOUR = "bench2"


@pytest.fixture
def bench(database, server_url):
    """A namespace that nobody has used, beside one that somebody does."""
    neighbour = Jobistemer(server_url, namespace=NEIGHBOUR)
    neighbour.enqueue("work")
    return Namespace(server_url, "bench")


def keys_of(namespace):
    namespace.connect()
    shards = [namespace.settings, *namespace.shards]
    found = {key for shard in shards for key in shard.ask("KEYS", f"*{{{namespace.name}*")}
    return {key.decode() for key in found}


def test_what_was_in_it_is_gone_afterwards_and_neighbours_keep_theirs(bench, server_url):
    others = keys_of(Namespace(server_url, NEIGHBOUR))
    app = Jobistemer(server_url, namespace="bench")
    with reserve_namespace(bench, clear_first=False):
        app.enqueue_many(app.request("work") for _ in range(2_500))
        assert len(keys_of(bench) - others) > 2_500
    bench.settings.ask("PING")
    assert bench.settings.ask("EXISTS", bench.settings_key) == 0
    assert [bench.shards[0].ask("EXISTS", bench.shards[0].keys.streams)] == [0]
    assert keys_of(Namespace(server_url, NEIGHBOUR)) == others


def test_an_error_and_ctrl_c_empty_it_too(bench):
    for ending in (RuntimeError, KeyboardInterrupt, SystemExit):
        with pytest.raises(ending), reserve_namespace(bench, clear_first=False):
            bench.shards[0].ask("SET", bench.shards[0].keys.own("left"), 1)
            raise ending
        assert bench.settings.ask("EXISTS", bench.settings_key) == 0
        assert bench.shards[0].ask("EXISTS", bench.shards[0].keys.own("left")) == 0


def test_a_namespace_that_somebody_uses_is_refused_and_left_as_it_is(server_url, bench):
    used = Namespace(server_url, NEIGHBOUR)
    before = keys_of(used)
    for anew in (False, True):
        with (
            pytest.raises(Conflict, match="namespace 'bench2' on .* is not empty"),
            reserve_namespace(used, clear_first=anew),
        ):
            pytest.fail("it was taken")
    assert keys_of(used) == before


def test_what_a_killed_measurement_has_left_is_named_and_emptied_when_that_is_asked_for(bench, server_url):
    assert acquire(bench, "web-1.4242.9f3a")
    assert find_owner(bench) == "web-1.4242.9f3a"
    left = bench.shards[0].keys.own("left")
    bench.shards[0].ask("SET", left, 1)
    with (
        pytest.raises(Conflict, match=r"by web-1.4242.9f3a has left there.*--clear"),
        reserve_namespace(bench, clear_first=False),
    ):
        pytest.fail("it was taken")
    with reserve_namespace(bench, clear_first=True):
        assert bench.shards[0].ask("EXISTS", left) == 0
    assert find_owner(bench) == ""


def test_what_was_left_with_another_number_of_shards_is_emptied_too(bench, server_url):
    old, new = Namespace(server_url, "bench", 2), Namespace(server_url, "bench", 3)
    assert acquire(old, "killed")
    left = [shard.keys.own("left") for shard in old.shards]
    for shard, key in zip(old.shards, left, strict=True):
        shard.ask("SET", key, 1)
    with reserve_namespace(new, clear_first=True):
        assert [shard.ask("EXISTS", key) for shard, key in zip(old.shards, left, strict=True)] == [0, 0]
        # Whoever comes to it now finds three.
        assert len(Namespace(server_url, "bench").shards) == 3
    assert new.settings.ask("EXISTS", new.settings_key) == 0


def test_of_two_that_want_it_one_gets_it(bench, server_url):
    assert [acquire(bench, "one"), acquire(Namespace(server_url, "bench"), "two")] == [True, False]
