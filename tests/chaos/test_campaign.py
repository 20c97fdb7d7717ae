"""The verdict of a campaign finds each kind of violation that is planted, and the page says what the rows say."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.chaos.campaign.__main__ import main
from tests.chaos.campaign.ledger import Ledger
from tests.chaos.campaign.proxy import CuttingProxy
from tests.chaos.campaign.rows import PUBLISHED, Row, append_row, read_rows
from tests.chaos.campaign.stories import SHORT, STORIES
from tests.chaos.campaign.verdict import VIOLATIONS, Verdict, judge
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.unit.docs.test_reference_pages import drawn


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def done(ledger, run, attempt=0, kind="call", key=""):
    with ledger.execution(run, attempt, kind, key):
        pass


def broken(verdict):
    return {name: getattr(verdict, name) for name in VIOLATIONS if getattr(verdict, name)}


def test_calls_that_ended_with_one_effect_each_break_nothing(database, ledger):
    for run in ("run_1", "run_2"):
        enqueue(database, run)
    ledger.acknowledge(["run_1", "run_2"], "call")
    for delivery in fetch(database):
        done(ledger, delivery.message.run)
        finish(database, build_ended(delivery))

    found = judge(ledger, database)
    assert (found.acknowledged, found.executions, found.violations, found.examples) == (2, 2, 0, [])


def test_a_call_without_a_record_an_end_or_an_effect_is_lost(database, ledger):
    enqueue(database, "run_2")
    enqueue(database, "run_3")
    ledger.acknowledge(["run_1", "run_2", "run_3"], "call")
    finish(database, build_ended(fetch(database)[1]))

    found = judge(ledger, database)
    assert found.lost == 3
    assert [each.partition(" is")[0].partition(" succ")[0] for each in found.examples if each.startswith("lost")] == [
        "lost: run_1",
        "lost: run_2",
        "lost: run_3",
    ]


def test_a_second_effect_is_double_unless_a_lost_attempt_explains_it(database, ledger):
    for run in ("run_1", "run_2"):
        enqueue(database, run)
    first, second = fetch(database)
    done(ledger, "run_1")
    done(ledger, "run_1")
    finish(database, build_ended(first))
    done(ledger, "run_2")
    finish(database, build_ended(second, "lost"))
    done(ledger, "run_2", attempt=1)
    finish(database, build_ended(fetch_one(database)))

    found = judge(ledger, database)
    assert broken(found) == {"double": 1, "unexplained": 1}
    assert found.lost_attempts == 1


def test_an_execution_that_was_killed_counts_as_one_without_an_effect(database, ledger):
    enqueue(database)
    with pytest.raises(KeyboardInterrupt), ledger.execution("run_1", 0, "call"):
        raise KeyboardInterrupt
    done(ledger, "run_1")
    finish(database, build_ended(fetch_one(database)))
    assert broken(judge(ledger, database)) == {"unexplained": 1}


@pytest.mark.parametrize(
    ("kind", "at_a_time", "name"), [("alone", 1, "overlap"), ("keyed", 1, "unique"), ("limited", 2, "limit")]
)
def test_more_at_a_time_than_is_allowed_is_counted_for_each_key(database, ledger, kind, at_a_time, name):
    runs = [f"run_{number}" for number in range(at_a_time + 1)]
    for run in [*runs, "run_9"]:
        enqueue(database, run)
    scenes = [ledger.execution(run, 0, kind, "one") for run in runs]
    for scene in scenes:
        scene.__enter__()
    done(ledger, "run_9", kind=kind, key="another")
    for scene in scenes:
        scene.__exit__(None, None, None)
    for delivery in fetch(database):
        finish(database, build_ended(delivery))
    assert broken(judge(ledger, database)) == {name: 1}


def test_the_code_of_an_attempt_that_was_declared_dead_may_go_on(database, ledger):
    enqueue(database)
    with ledger.execution("run_1", 0, "alone", "one"):
        finish(database, build_ended(fetch_one(database), "lost"))
        done(ledger, "run_1", attempt=1, kind="alone", key="one")
    finish(database, build_ended(fetch_one(database)))
    assert broken(judge(ledger, database)) == {}


def test_the_ledger_knows_in_which_processes_a_handler_is_being_called(ledger):
    with ledger.execution("run_1", 0, "call"):
        assert ledger.find_running() == {os.getpid()}
    assert ledger.find_running() == set()


def test_a_key_that_would_stay_is_left_over(database, ledger):
    database.client.hset(database.keys.run("run_1"), "state", "succeeded")
    assert broken(judge(ledger, database)) == {"left_over": 1}


def test_an_effect_that_came_before_its_call_was_noted_counts_after_a_loss_of_the_server(database, ledger):
    enqueue(database)
    done(ledger, "run_1")
    since = time.monotonic()
    ledger.acknowledge(["run_1"], "call")
    finish(database, build_ended(fetch_one(database)))
    assert broken(judge(ledger, database, since)) == {}


def test_calls_before_a_loss_of_the_server_are_not_asked_for(database, ledger):
    ledger.acknowledge(["run_1"], "call")
    assert judge(ledger, database, since=time.monotonic()).lost == 0
    assert ledger.find_open() == {"run_1"}
    ledger.forget_open()
    assert ledger.find_open() == set()


def echo_server() -> int:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            caller, _ = listener.accept()
            while data := caller.recv(1024):
                caller.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_the_proxy_forwards_and_cuts_a_reply_in_the_middle_when_it_is_told_to():
    proxy = CuttingProxy(echo_server(), seed=1, one_in=1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as whole:
        whole.sendall(b"hello")
        assert whole.recv(100) == b"hello"
        proxy.cutting.set()
        whole.sendall(b"0123456789")
        got = b""
        with suppress(ConnectionResetError):
            while part := whole.recv(100):
                got += part
    proxy.end()
    assert proxy.cuts == 1
    assert len(got) < 10
    assert b"0123456789".startswith(got)


def row(**changes) -> Row:
    fixed = {"at": "2026-11-30T12:00:00Z", "version": "0.1", "commit": "abc", "python": "3.11", "server": "valkey 9.1"}
    rest = {
        "seed": 1,
        "seconds": 5,
        "faults": 2,
        "recovery_s": [1.0, 3.0, 2.0],
        "verdict": Verdict(acknowledged=1200),
        "wrong": [],
    }
    return Row(story="workers killed", **{**fixed, **rest, **changes})


def test_rows_are_read_as_they_were_stored(tmp_path):
    rows = [row(), row(seed=2, verdict=Verdict(lost=1, examples=["lost: run_1"]))]
    for each in rows:
        append_row(tmp_path / "0.1.jsonl", each)
    assert read_rows(tmp_path) == rows
    assert [each.is_right for each in rows] == [True, False]
    assert rows[1].describe().splitlines()[1] == "  lost: run_1"
    assert not row(wrong=["a worker ended with 1"]).is_right


def test_the_page_shows_each_story_and_marks_what_was_wrong():
    found = drawn("draw_chaos.py")
    lines = found["tables"]([row(), row(verdict=Verdict(double=2))])
    assert lines[0] == "## 0.1 on valkey 9.1"
    assert lines[6] == "| workers killed | 2 | 1,200 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 2.0 (3.0) |"
    assert lines[7].startswith("| workers killed **(wrong)** |")
    assert lines[4].count("|") == lines[5].count("|") == lines[6].count("|")


def test_the_page_in_the_repository_is_what_its_rows_say():
    found = drawn("draw_chaos.py")
    assert found["PAGE"].read_text() == found["page"](), "run `python docs/draw_chaos.py`"
    assert read_rows(PUBLISHED)


def test_a_story_that_there_is_not_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--stories", "workers kiled"])
    assert "there is no story workers kiled; there are workers killed" in capsys.readouterr().err


def test_the_short_campaign_has_stories_that_there_are_and_each_says_what_it_does():
    assert set(SHORT) <= set(STORIES)
    assert all(story.fault.__doc__ for story in STORIES.values())
