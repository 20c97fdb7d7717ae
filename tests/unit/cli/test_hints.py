"""What waits and can go on by nobody is told with what to start."""

from __future__ import annotations

import msgspec
import pytest

from jobistemer.store.calls import heartbeats

NO_WORKER = "no worker serves queue mail: start `jobistemer-worker -Q mail`"
NO_TICKER = "no ticker runs, so nothing that is delayed becomes due: start `jobistemer-ticker`"


@pytest.fixture
def beat(shard):
    """A worker of one queue, or a ticker, that has just said that it lives."""

    def beat(queue=""):
        now, status = shard.clock.now_ms(), msgspec.json.encode({"queues": {queue: 0}} if queue else {})
        worker, ticker = heartbeats.beat_worker, heartbeats.beat_ticker
        call = (
            worker(shard.keys, "alice", now, 15_000, now, status, "id")
            if queue
            else ticker(shard.keys, "t", now, status, now, 10, "id")
        )
        shard.call(call)

    return beat


def test_where_runs_wait_and_nobody_serves_their_queue_it_says_what_to_start(cli, app, beat):
    run = app.enqueue("greet", queue="mail").id
    beat("default")
    assert cli("queue", "list").stdout.endswith(f"{NO_WORKER}\n1 queue\n")
    assert cli("run", "show", run).stdout.endswith(f"{NO_WORKER}\n")
    assert NO_WORKER not in cli("queue", "list", "--json").output
    beat("mail")
    assert "start" not in cli("queue", "list").stdout
    assert NO_WORKER not in cli("run", "show", run).stdout


def test_a_paused_queue_waits_because_somebody_wants_it_to(cli, app):
    app.enqueue("greet", queue="mail")
    cli("queue", "pause", "mail", "--force")
    assert NO_WORKER not in cli("queue", "list").stdout


def test_where_runs_wait_for_their_time_and_no_ticker_runs_it_says_so(cli, app, beat):
    run = app.enqueue("greet", delay=60).id
    assert NO_TICKER in cli("queue", "list").stdout
    assert NO_TICKER in cli("run", "show", run).stdout
    beat()
    assert NO_TICKER not in cli("queue", "list").stdout
    assert NO_TICKER not in cli("run", "show", run).stdout


def test_an_empty_namespace_has_no_hints(cli):
    told = cli("queue", "list").stdout.splitlines()
    assert told[0] == "no queue yet: nothing has been enqueued in this namespace"
