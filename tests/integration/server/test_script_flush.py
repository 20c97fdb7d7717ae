"""The server forgets its scripts (a restart, a failover, SCRIPT FLUSH): nobody notices."""

import pytest

from jobistemer.core.errors import JobistemerError
from jobistemer.store.async_database import AsyncDatabase
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from jobistemer.store.server.connection import Server
from tests.support.lifecycle import enqueue, fetch, message
from tests.support.shard_state import records


def enqueueing(database, run):
    return runs.enqueue_run(database.keys, message(run))


def delaying(database, run):
    return runs.enqueue_run(database.keys, message(run), due_at=1)


def test_a_call_goes_through_although_the_scripts_are_gone(database):
    enqueue(database, "run_1")
    database.client.script_flush()
    assert enqueue(database, "run_2") == Reply("CREATED", [])
    assert [each.message.run for each in fetch(database)] == ["run_1", "run_2"]


def test_many_calls_go_through_in_their_order_although_the_scripts_are_gone(database):
    enqueue(database, "run_1")
    database.client.script_flush()
    calls = [enqueueing(database, "run_2"), delaying(database, "run_3"), enqueueing(database, "run_4")]
    assert database.call_all(calls) == [Reply("CREATED", [])] * 3
    assert [each.message.run for each in fetch(database)] == ["run_1", "run_2", "run_4"]


def test_many_calls_go_through_when_only_some_of_the_scripts_are_gone(database):
    database.client.script_flush()
    enqueue(database, "run_1")
    calls = [delaying(database, "run_2"), enqueueing(database, "run_3"), delaying(database, "run_4")]
    assert database.call_all(calls) == [Reply("CREATED", [])] * 3
    assert set(records(database)["delayed"]) == {"default:5:run_2", "default:5:run_4"}


def test_what_one_call_of_many_is_refused_for_does_not_touch_the_others(database):
    database.client.set(database.keys.run("run_2"), "not a hash")
    replies = database.call_all([enqueueing(database, run) for run in ("run_1", "run_2", "run_3")])
    assert [reply.word for reply in replies] == ["CREATED", "MINE", "CREATED"]
    database.client.set(database.keys.delayed, "not a sorted set")
    refused, created = database.call_all([delaying(database, "run_4"), enqueueing(database, "run_5")])
    assert isinstance(refused, JobistemerError)
    assert created == Reply("CREATED", [])


async def awaited(url, database):
    server = Server(url)
    other = AsyncDatabase(server.shared_calls(database.keys.tag), database)
    try:
        return await other.call(enqueueing(database, "run_1"))
    finally:
        await server.aclose()


@pytest.mark.parametrize("flushed", ["flushed", "kept"])
def test_an_awaited_call_goes_through_as_well(database, server_url, flushed):
    import asyncio

    if flushed == "flushed":
        database.client.script_flush()
    assert asyncio.run(awaited(server_url, database)) == Reply("CREATED", [])
    assert [each.message.run for each in fetch(database)] == ["run_1"]
