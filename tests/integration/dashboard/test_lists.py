"""The lists of the dashboard: their rows, page by page, and the number of commands for a page."""

from __future__ import annotations

import re

import pytest

from jobistemer import NO_RETRIES, Concurrency
from jobistemer.core.settings import WorkerSettings
from jobistemer.store.reads import jobs
from tests.support.apps import shard_of
from tests.support.dashboard_client import DashboardClient, HtmlPage
from tests.support.lifecycle import build_ended, fetch, fetch_one, finish
from tests.support.sample_data import record_beat
from tests.support.step_system import StepWorker


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
    [("run_1", "/runs/run_1"), ("occ_1", "/occurrences/occ_1"), ("hostile", "/jobs/hostile"), ("HOSTILE", "/jobs/hostile"), ("warehouse/etl", "/jobs/warehouse%2Fetl"), ("", "/jobs")],
)
def test_an_id_or_a_name_leads_to_its_page(visitor, ids, asked, place):
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


def test_a_part_of_a_name_finds_jobs_and_runs_of_tasks(visitor, ids):
    page = visitor.look("/find?q=STILE")
    assert 'href="/jobs/hostile"' in page
    page = visitor.look("/find?q=mail")
    assert f'href="/runs/{ids["waiting"]}"' in page
    assert f'href="/runs/{ids["dead"]}"' in page
    assert "Nothing has this in its name" in visitor.look("/find?q=nothing-like-it")
    assert "search for the id of the run" in visitor.look("/find?q=attempt_1")


def test_jobs_are_sorted_by_name_and_chosen_by_state_and_name(visitor, app, ids):
    names = lambda page: re.findall(r'class="name"><a href="/jobs/([^"]+)"', page)  # noqa: E731
    assert names(visitor.look("/jobs")) == ["hostile", "warehouse%2Fetl"]
    assert set(names(visitor.look("/jobs?sort=due"))) == {"hostile", "warehouse%2Fetl"}
    assert names(visitor.look("/jobs?state=failed")) == ["hostile"]
    assert names(visitor.look("/jobs?q=ETL")) == ["warehouse%2Fetl"]
    assert names(visitor.look("/jobs?state=paused")) == []
    visitor.press("pause-job", "warehouse/etl")
    assert names(visitor.look("/jobs?state=paused")) == ["warehouse%2Fetl"]
    assert "No job is like that" in visitor.look("/jobs?state=paused&q=hostile")


def test_the_overview_looks_at_all_jobs(app, monkeypatch):
    # Given many jobs that are due soon, and one that failed and one that is paused and due much later
    monkeypatch.setattr("jobistemer.web.shared.job_watch.JOBS_PER_LOOK", 20)
    for number in range(60):
        app.job("*/20 * * * * *", name=f"often-{number}")(lambda: None)
    app.job("0 0 1 1 *", name="nightly-billing", retry=NO_RETRIES)(lambda: None)
    app.job("0 0 2 1 *", name="month-end")(lambda: None)
    app.deploy()
    app.control.trigger("nightly-billing")
    finish(shard_of(app), build_ended(fetch_one(shard_of(app)), "failed", error="no"), app.control.find("nightly-billing").job)
    app.control.pause("month-end")

    # Then both are named, also by later looks, which read a part of the jobs
    visitor = DashboardClient(app.namespace)
    for _ in range(3):
        text = HtmlPage(visitor.look("/")).text
        assert "1 job failed last time: nightly-billing" in text
        assert "1 paused job: month-end" in text
        assert re.search(r"62\s*jobs", text)
        visitor.application.state.dashboard.job_watch._looked_at = float("-inf")


def test_runs_that_wait_for_a_limit_are_counted_and_listed(visitor, app):
    @app.task(limits=[Concurrency(1)])
    def report(n: int) -> None: ...

    runs = [report.enqueue(n).id for n in range(3)]
    StepWorker(shard_of(app), app, settings=WorkerSettings(concurrency=8)).fetch()
    assert re.search(r"2\s*runs wait\s*in 1 queues, 2 for a limit", HtmlPage(visitor.look("/")).text)
    page = visitor.look("/runs?queue=default")
    assert re.search(r"task/report\s+1 of 1", HtmlPage(page).text)
    assert len([run for run in runs if f'href="/runs/{run}"' in page]) == 3

