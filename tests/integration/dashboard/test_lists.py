"""The lists of the dashboard: their rows, page by page, and the number of commands for a page."""

from __future__ import annotations

import re

import pytest

from jobistemer.store.reads import jobs
from tests.support.apps import shard_of
from tests.support.dashboard_client import HtmlPage
from tests.support.lifecycle import build_ended, fetch, fetch_one, finish
from tests.support.sample_data import record_beat


def test_an_empty_namespace_has_every_page_and_says_what_to_do(visitor):
    for path, words in {
        "/": "No job has an instant to come",
        "/jobs": "jobistemer deploy",
        "/runs": "Nothing waits",
        "/queues": "nothing has been enqueued",
        "/dead": "No dead letters",
        "/workers": "start one with",
    }.items():
        assert words in visitor.look(path)


def test_runs_wait_are_in_flight_or_delayed(visitor, app, ids):
    fetch(shard_of(app), "alice", "slow:5")
    delayed = app.enqueue("send_email", {"to": "cid@shop"}, delay=3600).id
    app.enqueue("send_email", {"to": "dan@shop"}, queue="slow")
    text = HtmlPage(visitor.look("/runs?queue=slow")).text
    assert re.search(r"in flight\s+slow priority 5.*?alice", text, re.DOTALL)
    assert re.search(r"waiting\s+slow priority 5", text)
    assert f'href="/runs/{delayed}"' in visitor.look("/runs")


def test_the_runs_of_a_queue_are_read_page_by_page_and_none_twice(visitor, app, ids, monkeypatch):
    monkeypatch.setattr("jobistemer.web.pages.runs.MAX_ENTRIES", 3)
    expected = {ids["waiting"], *(app.enqueue("send_email", {"to": f"{n}@shop"}, queue="slow").id for n in range(7))}
    path, seen = "/runs?queue=slow", []
    while path:
        page = visitor.look(path)
        seen += re.findall(r'class="name"><a href="/runs/(run_[0-9a-f-]+)"', page.partition('id="delayed"')[0])
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_histories_and_dead_letters_are_read_page_by_page(visitor, app, monkeypatch, ids):
    monkeypatch.setattr("jobistemer.web.pages.lists.DEAD_LETTERS_PER_PAGE", 2)
    app.enqueue("send_email", {"to": "x"})
    finish(shard_of(app), build_ended(fetch_one(shard_of(app)), "failed", error="no"))
    first, second = visitor.look("/dead"), visitor.look("/dead?page=2")
    assert 'rel="next"' in first
    assert 'rel="next"' not in second
    letters = [re.findall(r'name="target" value="(run_[^"]+)"', page) for page in (first, second)]
    assert [len(each) for each in letters] == [2, 1]
    assert len({*letters[0], *letters[1]}) == 3
    assert "No occurrence is on record on this page" in visitor.look("/jobs/hostile?page=2")


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999", "²", ""])
def test_a_number_of_a_page_that_cannot_be_is_the_nearest_that_can(visitor, ids, page):
    visitor.look(f"/dead?page={page}")


def test_workers_and_tickers_are_shown_as_their_last_beat_described_them(visitor, app):
    record_beat(shard_of(app), "alice")
    text = HtmlPage(visitor.look("/workers")).text
    assert "alice" in text
    assert "2 of 8" in text


def test_what_is_not_on_record_is_not_found(visitor, ids):
    for path in ("/jobs/none", "/occurrences/occ_1", "/runs/run_1", "/nowhere", "/jobs/%2e%2e%2fetc", "/static/none.css"):
        visitor.look(path, 404)
    assert "no job &#39;none&#39; is registered" in visitor.look("/jobs/none", 404)


@pytest.mark.parametrize(
    ("asked", "place"),
    [("run_1", "/runs/run_1"), ("occ_1", "/occurrences/occ_1"), ("a/b", "/jobs/a%2Fb"), ("", "/jobs"), ("//x", "/jobs/%2F%2Fx")],
)
def test_an_id_or_a_name_leads_to_its_page(visitor, asked, place):
    answer = visitor.client.get("/find", params={"q": asked})
    assert (answer.status_code, answer.headers["location"]) == (303, place)


def test_a_page_costs_the_same_number_of_commands_however_long_the_history(visitor, app, ids, monkeypatch):
    asked = []
    database = shard_of(app)
    original = type(database).ask_all
    monkeypatch.setattr(type(database), "ask_all", lambda self, commands: asked.extend(commands) or original(self, commands))
    visitor.look("/jobs/hostile")
    short = len(asked)
    for instant in range(200):
        due = 1_700_000_000 + instant
        database.ask("ZADD", database.keys.history(jobs.find_summary(database, "hostile").id), due, f"occ_{instant}")
    asked.clear()
    visitor.look("/jobs/hostile")
    assert len(asked) <= short + 65
