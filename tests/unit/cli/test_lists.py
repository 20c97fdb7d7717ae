"""Nothing is cut silently: every list says how many there are in all, and how to go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec import structs

from jobistemer import Backfills
from jobistemer.cli.list_answers import list_found, list_page
from jobistemer.control.run_list import RunChoice, list_runs
from jobistemer.core.unreadable import Unreadable
from jobistemer.store import quarantine
from jobistemer.store.calls import heartbeats
from jobistemer.store.reads import queues
from tests.support.apps import drain_queues
from tests.support.steps import ask
from tests.unit.cli.test_root import LEAVES

APP = "from jobistemer import Jobistemer\napp = Jobistemer()\n" + "".join(
    f"@app.task\ndef task_{number}(): ...\n" for number in range(3)
)
WORDS = {"list", "history", "log", "versions", "changes", "questions"}
# Each list with what it is called with, and the noun of its rows.
LISTS = {
    ("backfill", "list"): ((), "backfills"),
    ("changes",): ((), "changes"),
    ("dead", "list"): ((), "dead_letters"),
    ("hold", "list"): ((), "holds"),
    ("job", "history"): (("nightly",), "occurrences"),
    ("job", "list"): ((), "jobs"),
    ("job", "log"): (("nightly",), "changes"),
    ("job", "versions"): (("nightly",), "versions"),
    ("quarantine", "list"): ((), "items"),
    ("questions",): ((), "questions"),
    ("queue", "list"): ((), "queues"),
    ("run", "list"): ((), "runs"),
    ("task", "list"): (("listed:app",), "tasks"),
    ("ticker", "list"): ((), "tickers"),
    ("worker", "list"): ((), "workers"),
}


@pytest.fixture
def world(cli, app, shard, dead, tmp_path, monkeypatch):
    """Two or more of everything that is listed."""
    (tmp_path / "listed.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    app.deploy()
    for _ in range(3):
        app.control.trigger("nightly")
        drain_queues(app)
    app.control.register(structs.replace(app.jobs()[0], description="changed"))
    app.control.pause("nightly")
    app.control.resume("nightly")
    status = msgspec.json.encode({"pid": 7, "queues": {"default": 1}})
    now_ms = shard.read_clock()
    for name in ("alice", "bob"):
        shard.call(heartbeats.beat_worker(shard.keys, name, now_ms, 15_000, now_ms, status, "id"))
        shard.call(heartbeats.beat_ticker(shard.keys, name, now_ms, status, now_ms, 0, "id"))
    for number in range(3):
        dead()
        ask(shard, app.enqueue("greet", queue=f"asks{number}").id, f"asks{number}:5")
        app.enqueue("greet", delay=3600)
        app.holds.put(f"task{number}", seconds=60)
        shard.ask("SADD", shard.keys.paused, f"odd{number}")
        shard.call(
            quarantine.quarantine_member(shard.keys, Unreadable(shard.keys.paused, "no", f"odd{number}".encode()))
        )
    backfills, now = Backfills(app.namespace), datetime.now(UTC)
    for days in (3, 6):
        backfills.start(backfills.ask("nightly", now - timedelta(days=days), now - timedelta(days=days - 2)))


def test_every_command_that_lists_something_is_tested_here():
    assert {path for path, _ in LEAVES if path[-1] in WORDS} == set(LISTS)


@pytest.mark.parametrize("path", LISTS, ids=" ".join)
def test_every_list_says_how_many_there_are_and_its_pages_are_all_of_them(cli, world, path):
    arguments, noun = LISTS[path]
    whole = json.loads(cli(*path, *arguments, "--json").stdout)
    assert whole["total"] == len(whole[noun]) > 1
    assert (whole["total_is_exact"], whole["next"]) == (True, None)
    assert f"\n{whole['total']} {noun.replace('_', ' ')}" in cli(*path, *arguments).stdout

    if "--limit" not in [name for option in dict(LEAVES)[path].params for name in option.opts]:
        return
    rows, onward = [], {"offset": 0}
    while onward:
        options = [word for name, value in onward.items() for word in (f"--{name}", value)]
        page = json.loads(cli(*path, *arguments, "--limit", 1, *options, "--json").stdout)
        assert (page["total"], len(page[noun])) == (whole["total"], 1)
        rows, onward = [*rows, *page[noun]], page["next"]
    assert rows == whole[noun]
    assert f"1–1 of {whole['total']} " in cli(*path, *arguments, "--limit", 1).stdout
    assert "go on with --offset 1" in cli(*path, *arguments, "--limit", 1).stdout
    assert "nothing after 99" in cli(*path, *arguments, "--offset", 99).stdout


def test_jobs_with_a_prefix_go_on_after_a_name(cli, world):
    page = json.loads(cli("job", "list", "--prefix", "n", "--limit", 1, "--json").stdout)
    assert (page["total"], page["next"]) == (1, None)
    every = json.loads(cli("job", "list", "--after", "nightly", "--prefix", "y", "--json").stdout)
    assert [job["name"] for job in every["jobs"]] == ["yearly"]


def test_a_search_that_ends_at_the_page_says_at_least(cli, world):
    page = json.loads(cli("dead", "list", "--handler", "greet", "--limit", 2, "--json").stdout)
    assert (page["total"], page["total_is_exact"], page["next"]) == (3, False, {"offset": 2})
    assert "1–2 of ≥ 3 dead letters; go on with --offset 2" in cli("dead", "list", "--error", "no", "--limit", 2).stdout
    last = json.loads(cli("dead", "list", "--handler", "greet", "--offset", 2, "--json").stdout)
    assert (last["total"], last["total_is_exact"], last["next"]) == (3, True, None)


def test_runs_that_were_not_looked_at_are_told_with_the_remedy(cli, world):
    page = json.loads(cli("run", "list", "--task", "greet", "--look-at", 2, "--json").stdout)
    assert (page["total_is_exact"], page["total"]) == (False, len(page["runs"]))
    shown = cli("run", "list", "--task", "greet", "--look-at", 2).stdout
    assert "the first 2 of each state were looked at; --look-at 20 looks at more" in shown
    assert json.loads(cli("run", "list", "--task", "greet", "--look-at", 20, "--json").stdout)["total_is_exact"]


@pytest.mark.parametrize(("most", "more"), [(15, "; --look-at 15 looks at more"), (2, "")])
def test_the_hint_offers_no_more_than_the_option_takes(cli, world, monkeypatch, most, more):
    monkeypatch.setattr("jobistemer.cli.commands.run.MAX_LOOKED_AT", most)
    shown = cli("run", "list", "--task", "greet", "--look-at", 2).stdout
    assert f"the first 2 of each state were looked at{more}\n" in shown


def test_counts_by_queue_that_end_at_their_bound_say_at_least(cli, world, shard, monkeypatch):
    monkeypatch.setattr(queues, "_MAX_COUNTED", 2)
    for number in range(3):
        shard.ask("HSET", shard.keys.limits, "printer", "1")
        shard.ask("ZADD", shard.keys.waiting("printer"), number, f"default:5:run_{number}")
    (default,) = [
        each for each in json.loads(cli("queue", "list", "--json").stdout)["queues"] if each["name"] == "default"
    ]
    assert (default["delayed"], default["delayed_is_exact"]) == (2, False)
    assert (default["limited"], default["limited_is_exact"]) == ({"printer": 2}, False)
    shown = cli("queue", "list").stdout
    assert "≥ 2" in shown
    assert "printer: ≥ 2" in shown


def test_the_total_of_runs_under_a_limit_is_at_least_what_was_counted(world, shard, monkeypatch):
    monkeypatch.setattr(queues, "_MAX_COUNTED", 2)
    shard.ask("HSET", shard.keys.limits, "printer", "1")
    shard.ask("ZADD", shard.keys.waiting("printer"), 1, "default:5:run_1", 2, "default:5:run_2")
    assert list_runs([shard], RunChoice(["limited"]), 10).is_exact is False
    assert list_runs([shard], RunChoice(["pending"]), 10).is_exact is False
    assert list_runs([shard], RunChoice(["scheduled", "suspended"]), 10).is_exact is True


@pytest.mark.parametrize(
    ("older", "states"), [("waiting", ["pending"]), ("delayed", ["scheduled", "suspended"])], ids=["waiting", "delayed"]
)
def test_an_older_word_for_a_state_is_taken_with_a_note_about_the_present_one(cli, world, older, states):
    answer = cli("run", "list", "--state", older, "--json")
    present = cli("run", "list", *(word for state in states for word in ("--state", state)), "--json")
    assert json.loads(answer.stdout) == json.loads(present.stdout)
    assert answer.stderr == f"note: {older} is the older word for {' and '.join(states)}\n"


def test_a_word_that_never_was_a_state_is_refused_with_the_states(cli, app):
    refused = cli("run", "list", "--state", "asleep")
    assert refused.exit_code == 2
    assert "'scheduled', 'suspended'" in refused.output
    assert "delayed" not in refused.output


def test_rows_that_come_between_two_reads_leave_the_numbers_possible():
    assert list_page("job", "ab", 0, 1).total == 2
    assert list_found("job", "", 5, 2).is_exact is False


@pytest.mark.parametrize("given", ["job list", "job list --groups", "queue list", "worker list", "ticker list"])
def test_where_there_is_nothing_the_command_says_where_it_has_looked(cli, given):
    told = cli(*given.split(), "--namespace", "elsewhere").stdout
    assert "looked in namespace 'elsewhere' on fake://" in told
    assert "`jobistemer doctor` lists the namespaces of the server" in told
    assert "looked in" not in cli(*given.split(), "--namespace", "elsewhere", "--json").stdout


@pytest.mark.parametrize("groups", [(), ("--groups",)])
def test_a_prefix_that_no_job_has_says_nothing_of_the_place(cli, world, groups):
    told = cli("job", "list", "--prefix", "zzz", *groups).stdout
    assert told.startswith("no job "), told
    assert "looked in" not in told
