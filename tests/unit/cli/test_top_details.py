"""The details of the selected row in `jobistemer top`: its facts, and the end of its log or history."""

import io
import json

import msgspec
import pytest
from rich.console import Console

from jobistemer import Context
from jobistemer.cli.top.details import Details, read_details
from jobistemer.cli.top.parts import Target
from jobistemer.cli.top.screen import render_details
from jobistemer.store.calls import heartbeats
from tests.support.apps import drain_queues
from tests.support.lifecycle import fetch_one


def facts(app, kind, name):
    found = read_details(app.namespace, Target(kind, name))
    return found.title, {key: value for key, value in found.facts if value}, found.lines


def test_a_job_is_shown_with_its_next_instants_and_the_end_of_its_history(app):
    app.deploy()
    app.control.trigger("nightly")
    drain_queues(app)
    app.control.pause("nightly", "holidays")
    title, known, lines = facts(app, "job", "nightly")
    assert (title, known["schedule"], known["tasks"]) == (
        "job nightly, version 1",
        "at 02:00, every day (UTC)",
        "nightly",
    )
    assert known["next (UTC)"].count("02:00:00") == 5
    assert "holidays" in known["paused"]
    assert "completed" in lines[-1]


def test_a_run_is_shown_with_its_payload_its_result_and_the_end_of_its_log(app):
    @app.task
    def counts(ctx: Context, to: int) -> int:
        for number in range(to):
            ctx.logger.info("number %d", number)
        return to

    run = app.enqueue("counts", {"to": 3}).id
    assert facts(app, "run", run)[1]["payload"] == '{"to":3}'
    drain_queues(app)
    title, known, lines = facts(app, "run", run)
    assert (title, known["attempts"], known["result"]) == (f"counts {run}", "1", "3")
    assert [line.split()[-1] for line in lines] == ["0", "1", "2"]


def test_a_dead_run_is_shown_with_its_error_and_a_canceled_one_with_the_reason(app, dead):
    assert facts(app, "dead", dead("ValueError: no\n  at line 7"))[2] == ["ValueError: no", "  at line 7"]
    run = app.enqueue("greet")
    run.cancel("wrong")
    assert facts(app, "run", run.id)[1]["asked to end (UTC)"].endswith(": wrong")


def test_bytes_that_are_no_text_are_shown_as_escapes_by_all_commands(app, shard, cli):
    run = app.enqueue("greet", {"name": "ann"}).id
    entry, stream = fetch_one(shard).entry, shard.keys.stream("default:5")
    ((_, fields),) = shard.client.xrange(stream, entry, entry)
    again = shard.client.xadd(stream, {**fields, b"m": fields[b"m"].replace(b"ann", b"a\xffn")})
    shard.client.hset(shard.keys.run(run), mapping={"entry": again, "result": b'"\xfe"'})
    known = facts(app, "run", run)[1]
    assert (known["payload"], known["result"]) == ('{"name":"a\\xffn"}', '"\\xfe"')
    assert '{"name":"a\\xffn"}' in cli("run", "show", run).stdout
    assert json.loads(cli("run", "show", run, "--json").stdout)["run"]["result"] == "\ufffd"


def test_queues_workers_and_tickers_are_shown_with_their_numbers(app, shard):
    app.enqueue("greet", queue="mail")
    now_ms = shard.read_clock()
    status = msgspec.json.encode(
        {"queues": {"mail": 3}, "memory_mib": 61.5, "cpu_percent": 12.0, "running": {"mail greet": 2}}
    )
    shard.call(heartbeats.beat_worker(shard.keys, "alice", now_ms, 15_000, now_ms, status, "id"))
    shard.call(heartbeats.beat_ticker(shard.keys, "tick", now_ms, b'{"fired": 12}', now_ms, 0, "id"))
    assert facts(app, "queue", "mail")[1]["served by"] == "alice"
    known = facts(app, "worker", "alice")[1]
    assert (known["queues"], known["memory, CPU"], known["runs now"]) == ("mail:3", "62 MiB, 12 %", "greet × 2")
    assert facts(app, "ticker", "tick")[1]["fired"].startswith("12")


@pytest.mark.parametrize("kind", ["job", "queue", "worker", "ticker", "run", "dead"])
def test_what_is_not_there_any_more_says_so(app, kind):
    (words,) = facts(app, kind, "gone")[1].values()
    assert "not there" in words or "no job 'gone' is registered" in words


@pytest.mark.parametrize("height", [4, 10, 40])
def test_details_fit_into_any_terminal_and_the_last_lines_are_shown(height):
    details = Details("run x", [("state", "dead"), ("note", "")], [f"line {number}" for number in range(30)])
    console = Console(width=60, file=io.StringIO(), record=True)
    console.print(render_details(details, "top", "the foot", height))
    lines = console.export_text().rstrip("\n").splitlines()
    assert len(lines) <= height
    assert lines[-1].startswith("the foot")
    assert ("line 29" in "\n".join(lines)) == (height > 5)
