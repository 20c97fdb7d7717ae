"""Times in `--json` are one thing: instants are RFC 3339 with a zone, durations are milliseconds with the unit in the name."""

from __future__ import annotations

import json
import re
import textwrap
from datetime import UTC, datetime, timedelta

import click
import msgspec
import pytest

from jobistemer import Backfills
from jobistemer.cli.answer_times import to_answer
from jobistemer.cli.json_answers import encode_json
from jobistemer.core.planning.backfill import Backfill
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import RunState
from jobistemer.store.calls import heartbeats
from tests.support.apps import drain_queues
from tests.support.lifecycle import fetch_one
from tests.support.steps import ask
from tests.unit.cli.test_root import LEAVES

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
DATE_LIKE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
INSTANT_NAME = re.compile(r"(_at|_until)$|^(at|due|until|since|deadline|next_due|peak_at)$")
# What stands in a definition of a job, or among its options, is shown as it was declared.
DECLARED = {"definition", "job", "value", "fields", "retry", "machine", "server"}
# They need a terminal or a process of their own, or print no times: tested where they are.
ELSEWHERE = {("migrate", each) for each in ("celery", "rq", "apscheduler", "arq", "crontab")}
ELSEWHERE |= {
    ("dev",),
    ("dashboard",),
    ("bench",),
    ("run", "watch"),
    ("quarantine", "restore"),
    ("quarantine", "purge"),
}

APP = """
from jobistemer import Jobistemer
app = Jobistemer()
@app.job("0 4 * * *", name="nightly")
def nightly(): ...
@app.task
def greet(name=""): ...
"""


def faults(found, path=""):
    """Everything in an answer that is no instant of RFC 3339 though it is one, or a duration without its unit."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name not in DECLARED or (name == "job" and isinstance(value, str)):
                yield from _fault(name, value, f"{path}.{name}")
                yield from faults(value, f"{path}.{name}")
    elif isinstance(found, list):
        for each in found:
            yield from faults(each, f"{path}[]")
    elif isinstance(found, int | float) and found > 10**9:
        yield f"{path} is {found}, which looks like a Unix time"
    elif isinstance(found, str) and DATE_LIKE.fullmatch(found[:16]) and not RFC_3339.fullmatch(found):
        yield f"{path} is {found!r}, which is no RFC 3339"


def _fault(name, value, path):
    if INSTANT_NAME.search(name) and isinstance(value, int | float) and not path.startswith((".jobs[]", "[].due")):
        yield f"{path} is the number {value}"
    if name.endswith(("_s", "_seconds", "_us")) and isinstance(value, int | float):
        yield f"{path} is a duration, but not in ms"


@pytest.fixture
def world(cli, app, shard, dead, tmp_path, monkeypatch):
    """Something of everything; what each command needs to be called with, by its path."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "jsonapp.py").write_text(textwrap.dedent(APP))
    (folder / "crontab").write_text("0 5 * * * /bin/true\n")
    monkeypatch.chdir(folder)
    app.deploy()
    nightly = app.control.trigger("nightly")[0]
    drain_queues(app)
    now_ms = shard.read_clock()
    status = msgspec.json.encode({"pid": 7, "queues": {"default": 1}, "started_at": now_ms})
    shard.call(heartbeats.beat_worker(shard.keys, "alice", now_ms, 15_000, now_ms, status, "id"))
    shard.call(heartbeats.beat_ticker(shard.keys, "tick", now_ms, status, now_ms, 0, "id"))
    letters = [dead() for _ in range(3)]
    delayed = app.enqueue("greet", delay=3600)
    waiting, running = app.enqueue("greet", {"name": "ann"}), app.enqueue("greet", queue="other")
    fetch_one(shard, where="other:5")
    running.cancel("no")
    canceled = app.enqueue("greet", queue="third")
    canceled.cancel()
    backfills = Backfills(app.namespace)
    now = datetime.now(UTC)
    request = backfills.ask("nightly", now - timedelta(days=3), now - timedelta(days=1))
    backfills.start(request)
    since = f"{now - timedelta(days=2):%Y-%m-%dT%H:%M:%S}Z"
    until = f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%S}Z"
    return {
        ("acl",): (),
        ("backfill", "cancel"): (request.id,),
        ("backfill", "show"): (request.id,),
        ("crontab", "import"): ("crontab", "--dry-run"),
        ("dead", "purge"): (letters[0], "--yes"),
        ("dead", "replay"): (letters[1],),
        ("dead", "show"): (letters[2],),
        ("deploy",): ("jsonapp:app", "--dry-run"),
        ("enqueue",): ("greet",),
        ("hold", "put"): ("greet", "--for", "60", "--force"),
        ("hold", "release"): ("greet",),
        ("job", "backfill"): ("nightly", "--from", since, "--to", until, "--dry-run"),
        ("job", "diff"): ("nightly", "1", "1"),
        ("next",): ("0 2 * * *", "--tz", "Europe/Berlin", "-n", "300"),
        ("occurrence", "cancel"): (nightly,),
        ("occurrence", "replay"): (nightly,),
        ("occurrence", "show"): (nightly,),
        ("run", "cancel"): (delayed.id,),
        ("run", "retry"): (canceled.id,),
        ("run", "show"): (waiting.id,),
        ("simulate",): ("jsonapp:app", "--days", "2"),
        ("task", "list"): ("jsonapp:app",),
        ("worker", "quiet"): ("alice",),
        ("worker", "stop"): ("alice",),
        ("queue", "drain"): ("other",),
        ("purge", "runs"): ("--older-than", "1h", "--yes"),
        ("queue", "purge"): ("default", "--yes"),
        ("job", "rollback"): ("nightly", "1"),
    }


# Commands about a run that waits, with what follows its id.
ASKING = {
    ("run", "steps"): (),
    ("run", "rewind"): ("--to", "first"),
    ("signal",): ("approved", "true"),
    ("answer",): ("=true",),
    ("questions",): (),
}


@pytest.mark.parametrize("path", [path for path, _ in LEAVES if path not in ELSEWHERE], ids=" ".join)
def test_the_times_in_every_answer_have_a_zone_or_a_unit(cli, app, shard, world, path):
    if path == ("hold", "release"):
        cli("hold", "put", "greet", "--for", 60, "--force")
    arguments = world.get(path)
    if path in ASKING:
        run = app.enqueue("greet", queue="asks").id
        ask(shard, run, "asks:5")
        arguments = (run, *ASKING[path]) if path != ("questions",) else ()
    if arguments is None:
        command = dict(LEAVES)[path]
        named = [each for each in command.params if isinstance(each, click.Argument) and each.required]
        arguments = ("nightly" if path[0] == "job" else "default",) if named or path == ("job", "remove") else ()
    result = cli(*path, *arguments, "--json")
    assert result.stdout, result.output
    assert list(faults(json.loads(result.stdout))) == []


def test_an_absent_time_is_null_and_never_nineteen_seventy(cli, world):
    shown = json.loads(cli("job", "list", "--json").stdout)["jobs"]
    assert {each["paused_until"] for each in shown} == {None}
    assert "1970" not in cli("job", "show", "nightly", "--json").stdout


def test_the_seconds_and_the_milliseconds_of_the_core_become_the_same_kind_of_instant():
    backfill = Backfill("b", "nightly", 1_800_000_000, 1_800_086_400, started_at=1_800_000_000_123)
    shown = to_answer(backfill)
    assert (shown["first"], shown["started_at"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:00.123Z")


def test_json_moves_nothing_in_a_terminal():
    record = RunRecord("run_1", RunState.DEAD, "greet", "default:5", 1, error="a\u202eb\x9bc\x1b[31m")
    shown = encode_json(record)
    assert shown.isprintable()
    assert json.loads(shown)["error"] == record.error


def test_runs_are_listed_by_state_with_how_many_there_are(cli, world):
    listed = json.loads(cli("run", "list", "--json").stdout)
    states = sorted({each["state"] for each in listed["runs"]})
    assert states == ["dead", "pending", "running", "scheduled"]
    assert listed["total"] == len(listed["runs"])
    (only,) = json.loads(cli("run", "list", "--state", "scheduled", "--json").stdout)["runs"]
    assert (only["task"], only["queue"]) == ("greet", "default")
    others = json.loads(cli("run", "list", "--queue", "other", "--json").stdout)
    assert ([each["worker"] for each in others["runs"]], others["total"]) == (["alice"], 1)
    assert "no such run" in cli("run", "list", "--task", "nobody").stdout


def test_runs_that_have_ended_are_listed_by_their_state(cli, world):
    (only,) = json.loads(cli("run", "list", "--state", "succeeded", "--limit", 1, "--json").stdout)["runs"]
    assert only["state"] == "succeeded"
    assert json.loads(cli("run", "list", "--state", "succeeded", "--task", "nobody", "--json").stdout)["runs"] == []


def test_runs_that_wait_for_a_limit_are_listed_with_its_name(cli, app, shard):
    keys = shard.keys
    shard.ask("HSET", keys.limits, "printer", "1")
    shard.ask("ZADD", keys.waiting("printer"), 1, "default:5:run_1")
    shard.ask("HSET", keys.run("run_1"), "state", "pending", "handler", "prints", "place", "default:5", "waiting", "printer",
              "enqueued_at", shard.read_clock())  # fmt: skip
    (only,) = json.loads(cli("run", "list", "--state", "limited", "--json").stdout)["runs"]
    assert (only["id"], only["state"], only["note"]) == ("run_1", "pending", "waits for the limit printer")
    assert only["limit"] == "printer"


def test_a_run_is_shown_with_its_crashes(cli, app, shard):
    run = app.enqueue("greet")
    shard.ask("HSET", shard.keys.run(run.id), "crashes", "2", "attempt", "2")
    assert "2, 2 crashes" in cli("run", "show", run.id).stdout
    assert json.loads(cli("run", "show", run.id, "--json").stdout)["run"]["crashes"] == 2


def test_a_run_is_shown_with_its_payload_and_a_long_one_is_cut_with_its_length(cli, app):
    short, long = app.enqueue("greet", {"name": "ann"}), app.enqueue("greet", {"name": "x" * 9_000})
    assert json.loads(cli("run", "show", short.id, "--json").stdout)["payload"] == {"name": "ann"}
    assert '{"name":"ann"}' in cli("run", "show", short.id).stdout
    shown = json.loads(cli("run", "show", long.id, "--json").stdout)["payload"]
    assert (len(shown) < 4_100, shown.endswith("… (9,011 characters)")) == (True, True)


def test_the_tasks_of_an_app_are_listed_with_their_options(cli, world):
    found = json.loads(cli("task", "list", "jsonapp:app", "--json").stdout)["tasks"]
    assert [(each["task"], each["queue"], each["timeout_ms"]) for each in found][0][:2] == ("greet", "default")
    assert "greet" in cli("task", "list", "jsonapp:app").stdout


def test_a_task_is_listed_with_what_a_call_may_give(cli, tmp_path, monkeypatch):
    (tmp_path / "calls.py").write_text(CALLS)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = json.loads(cli("task", "list", "calls:app", "--json").stdout)["tasks"]
    shown = {each["task"]: each["parameters"] for each in found}
    assert shown == {
        "bare": "(a, b = 1)",
        "job.first": "() -> list[Item]",
        "job.second": "() -> None",
        "send": "(to: str, at: datetime | None = None, parts: list[Item] = ()) -> int",
    }


CALLS = """
from __future__ import annotations
from datetime import datetime
import msgspec
from jobistemer import Context, Depends, Jobistemer
app = Jobistemer()
class Item(msgspec.Struct):
    number: int
def get_pool() -> object: ...
@app.task
def send(ctx: Context, to: str, at: datetime | None = None, *, parts: list[Item] = (), pool: object = Depends(get_pool)) -> int: ...
@app.task
def bare(a, b=1): ...
job = app.job("0 0 1 1 *", name="job")
@job.task
def first() -> list[Item]: ...
@job.task(after=[first])
def second(first: list[Item]) -> None: ...
"""
