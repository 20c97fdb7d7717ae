import json
from datetime import UTC, datetime

import msgspec

from jobistemer import Jobistemer
from jobistemer.cli.answer_times import format_instant
from jobistemer.store.calls import heartbeats
from jobistemer.store.reads import queues


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def beat(shard, worker="alice", **status):
    now_ms = shard.clock.now_ms()
    encoded = msgspec.json.encode({"pid": 7, "queues": {"mail": 3}, "concurrency": 8, "in_flight": 2, **status})
    shard.call(heartbeats.beat_worker(shard.keys, worker, now_ms, 15_000, now_ms, encoded, "id"))
    return now_ms


def tick(shard, ticker="tick", now_ms=0, **status):
    now_ms = now_ms or shard.clock.now_ms()
    encoded = msgspec.json.encode(status)
    shard.call(heartbeats.beat_ticker(shard.keys, ticker, now_ms, encoded, now_ms, 0, "id"))
    return now_ms


def test_without_workers_the_list_says_how_to_start_one(cli):
    assert "start one with `jobistemer-worker`" in cli("worker", "list").stdout
    assert "start one with `jobistemer-ticker`" in cli("ticker", "list").stdout


def test_a_worker_is_listed_as_its_last_beat_described_it(cli, shard):
    at = beat(shard, later="what a newer version may add")
    shown = format_instant(datetime.fromtimestamp(at / 1000, UTC))
    (worker,) = told(cli("worker", "list", "--json"))["workers"]
    assert (worker["id"], worker["beat_at"], worker["pid"], worker["in_flight"]) == ("alice", shown, 7, 2)
    assert "mail:3" in cli("worker", "list").stdout


def test_threads_that_were_stopped_and_never_ended_are_counted_in_the_list(cli, shard):
    beat(shard, leaked=7113)
    headings, row, _ = cli("worker", "list").stdout.splitlines()
    assert row[headings.index("stuck") :].startswith("  7113") or "7113" in row
    assert told(cli("worker", "list", "--json"))["workers"][0]["leaked"] == 7113


def test_a_worker_that_is_told_something_shows_it(cli, shard):
    beat(shard)
    assert cli("worker", "quiet", "alice").stdout == "alice receives the command quiet with its next beat\n"
    assert told(cli("worker", "list", "--json"))["workers"][0]["command"] == "quiet"
    assert cli("worker", "stop", "alice").exit_code == 0
    assert told(cli("worker", "list", "--json"))["workers"][0]["command"] == "stop"


def test_a_worker_that_is_not_there_cannot_be_told_anything(cli):
    result = cli("worker", "stop", "nobody")
    assert result.exit_code == 1
    assert "no worker 'nobody' is on record; `jobistemer worker list` shows those there are" in result.stderr


def test_a_ticker_is_listed_with_how_late_it_was_and_how_wrong_its_clock_is(cli, shard):
    tick(shard, fired=12, late_ms_max=40, offset_ms=-3)
    (ticker,) = told(cli("ticker", "list", "--json"))["tickers"]
    assert (ticker["fired"], ticker["late_ms_max"], ticker["offset_ms"]) == (12, 40, -3)
    assert "-3 ms" in cli("ticker", "list").stdout


def test_members_beat_into_every_shard_and_are_listed_once(url):
    shards = Jobistemer(url, shards=2).namespace.shards
    for shard in shards:
        beat(shard, done=5)
    tick(shards[0], now_ms=1_000, fired=2, late_ms_max=9)
    tick(shards[1], now_ms=2_000, fired=3, late_ms_max=4)
    (worker,) = queues.list_workers(shards)
    (ticker,) = queues.list_tickers(shards)
    # A worker counts as a whole, a ticker shard by shard.
    assert worker.done == 5
    assert (ticker.beat_at, ticker.fired, ticker.late_ms_max) == (2_000, 5, 9)


def test_the_rate_of_a_worker_is_its_average_since_it_started(cli, shard):
    now_ms = shard.clock.now_ms()
    beat(shard, started_at=now_ms - 10_000, done=50)
    headings, row, _ = cli("worker", "list").stdout.splitlines()
    assert "slots" in headings
    end = headings.index("runs/s on average") + len("runs/s on average")
    shown = float(row[headings.index("runs/s on average") : end])
    assert 4.8 <= shown <= 5.0
