"""The lists of the dashboard: their rows, page by page, and the number of commands for a page."""

from __future__ import annotations

import re

import pytest

from jobistemer import NO_RETRIES, Concurrency, Context
from jobistemer.control.changes import ChangeList
from jobistemer.control.put_aside import put_aside
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.unreadable import Unreadable
from jobistemer.store.reads import jobs
from tests.support.apps import drain_queues, empty_app, shard_of
from tests.support.dashboard_client import DashboardClient, HtmlPage
from tests.support.lifecycle import build_ended, fetch, fetch_one, finish
from tests.support.sample_data import declare_shop, record_beat
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
    assert re.search(r"running\s+slow priority 5.*?alice", text, re.DOTALL)
    assert re.search(r"pending\s+slow priority 5", text)
    assert "the oldest first; 2 in all" in text
    assert f'href="/runs/{delayed}"' in visitor.look("/runs")
    assert re.search(r"Delayed.*scheduled", HtmlPage(visitor.look("/runs")).text, re.DOTALL)
    assert re.search(r'class="state \w+">scheduled<', visitor.look("/find?q=send_"))


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
    for path in (
        "/jobs/none",
        "/occurrences/occ_1",
        "/runs/run_1",
        "/nowhere",
        "/jobs/%2e%2e%2fetc",
        "/static/none.css",
    ):
        visitor.look(path, 404)
    assert "no job &#39;none&#39; is registered" in visitor.look("/jobs/none", 404)


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ("run_1", "/runs/run_1"),
        ("occ_1", "/occurrences/occ_1"),
        ("hostile", "/jobs/hostile"),
        ("HOSTILE", "/jobs/hostile"),
        ("warehouse/etl", "/jobs/warehouse%2Fetl"),
        ("", "/jobs"),
    ],
)
def test_an_id_or_a_name_leads_to_its_page(visitor, ids, asked, place):
    answer = visitor.client.get("/find", params={"q": asked})
    assert (answer.status_code, answer.headers["location"]) == (303, place)


def test_a_page_costs_the_same_number_of_commands_however_long_the_history(visitor, app, ids, monkeypatch):
    asked = []
    database = shard_of(app)
    original = type(database).ask_all
    monkeypatch.setattr(
        type(database), "ask_all", lambda self, commands: asked.extend(commands) or original(self, commands)
    )
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
    finish(
        shard_of(app),
        build_ended(fetch_one(shard_of(app)), "failed", error="no"),
        app.control.find("nightly-billing").job,
    )
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


def test_runs_that_have_ended_are_listed_by_state_queue_and_task_page_by_page(visitor, app, ids, monkeypatch):
    monkeypatch.setattr("jobistemer.web.pages.runs.MAX_ENTRIES", 2)
    sent = [app.enqueue("send_email", {"to": f"{n}@shop"}).id for n in range(3)]
    for delivery in fetch(shard_of(app)):
        finish(shard_of(app), build_ended(delivery, result=b"1"))
    listed = lambda path: re.findall(r'class="name"><a href="/runs/(run_[0-9a-f-]+)"', visitor.look(path))  # noqa: E731
    pages = [listed("/runs/ended?state=succeeded"), listed("/runs/ended?state=succeeded&page=2")]
    assert [len(each) for each in pages] == [2, 1]
    assert {*pages[0], *pages[1]} == set(sent)
    assert ids["dead"] in listed("/runs/ended?state=dead&q=EMAIL&queue=default")
    assert listed("/runs/ended?q=nobody") == listed("/runs/ended?queue=nowhere") == []
    assert 'href="/runs/ended"' in visitor.look("/runs")


def test_a_run_in_a_list_shows_what_it_was_called_with(visitor, ids):
    assert '{"to":"bob"}' in HtmlPage(visitor.look("/runs")).text


def test_a_run_that_failed_shows_its_payload_and_is_retried_by_a_person(visitor, app, ids):
    run = app.enqueue("send_email", {"to": "eve@shop"}, queue="slow").id
    app.run(run).cancel("a mistake")
    page = HtmlPage(visitor.look(f"/runs/{run}")).text
    assert '"to": "eve@shop"' in page
    assert "a mistake" in page
    said = visitor.press("retry-run", run, back=f"/runs/{run}")
    assert "Retried as" in said
    assert 'id="retry-run-' not in said
    assert app.run(run).record().retried_as in said


def test_a_job_that_cannot_be_read_is_a_row_with_the_reason(visitor, app, ids):
    database, job = shard_of(app), app.control.find("hostile").job.id
    database.ask("HSET", database.keys.job(job), "definition", b'{"name":"hostile","schedule":7}')
    page = visitor.look("/jobs")
    assert re.search(r"hostile.*?unreadable.*?Expected `.*?Deploy the job again", HtmlPage(page).text, re.DOTALL)
    assert 'id="pause-job-hostile"' not in page
    assert "hostile" in visitor.look("/jobs?state=unreadable")
    assert "warehouse/etl" not in visitor.look("/jobs?state=unreadable")
    assert "1 job cannot be read: hostile" in HtmlPage(visitor.look("/")).text


def test_the_quarantine_is_listed_restored_and_purged(visitor, app, ids):
    database = shard_of(app)
    assert "The quarantine is empty" in visitor.look("/quarantine")
    for word in (b"nonsense", b"<script>alert(3)</script>"):
        database.ask("ZADD", database.keys.delayed, 1, word)
        put_aside(database, [Unreadable(database.keys.delayed, "it names no run", word)])
    page = visitor.look("/quarantine")
    assert "alert(3)" in HtmlPage(page).text
    assert "it names no run" in page
    assert "2 things that cannot be read in the quarantine" in HtmlPage(visitor.look("/")).text
    script, nonsense = re.findall(r'name="target" form="chosen" value="([^"]+)"', page)
    assert "nonsense is back in" in visitor.press("restore-quarantined", nonsense, back="/quarantine")
    assert database.read("ZSCORE", database.keys.delayed, b"nonsense") is not None
    assert "1 purged" in visitor.press("purge-quarantined", script, back="/quarantine")
    assert "The quarantine is empty" in visitor.look("/quarantine")
    assert [each.what for each in ChangeList(app.namespace).list(0, 2)] == ["purge quarantined", "restore quarantined"]


def test_the_quarantine_of_all_shards_is_read_page_by_page_and_its_title_counts_all_of_it(server_url, monkeypatch):
    monkeypatch.setattr("jobistemer.web.pages.lists.QUARANTINED_PER_PAGE", 400)
    # A shard keeps a thousand.
    app = empty_app(server_url, shards=2)
    for shard in app.namespace.shards:
        entry = ("XADD", shard.keys.quarantine, "*", "key", "k", "member", "nonsense", "reason", "it names no run")
        shard.ask_all([entry] * 510)
    page = DashboardClient(app.namespace).look("/quarantine?page=3")
    assert "1,020, the latest first" in HtmlPage(page).text
    assert len(re.findall(r'name="target" form="chosen"', page)) == 220


def test_a_page_that_has_not_changed_but_for_the_time_is_not_sent_again(visitor, app, ids, monkeypatch):
    first = visitor.client.get("/jobs/hostile")
    database, mark = shard_of(app), first.headers["etag"]
    later = database.read_clock() + 70_000
    monkeypatch.setattr(type(database), "read_clock", lambda _: later)
    again = visitor.client.get("/jobs/hostile", headers={"if-none-match": mark})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", mark)
    assert again.headers["jobistemer-now"] == str(later)
    assert "no-store" in again.headers["cache-control"]
    app.control.pause("hostile", "too loud")
    changed = visitor.client.get("/jobs/hostile", headers={"if-none-match": mark})
    assert changed.status_code == 200
    assert changed.headers["etag"] != mark


def test_a_file_that_a_browser_has_is_not_sent_again(visitor):
    first = visitor.client.get("/static/dashboard.css")
    again = visitor.client.get("/static/dashboard.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/jobs/hostile", "/runs", "/runs/ended", "/queues", "/dead", "/workers", "/changes"]
)
def test_every_table_has_a_caption_and_its_headings_name_columns(visitor, ids, path):
    page = visitor.look(path)
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    assert tables
    for table in tables:
        assert re.search(r'<caption class="hidden">\w.*?</caption>', table)
        assert "<th>" not in table


def test_a_run_that_waits_shows_its_steps_and_a_person_sends_the_signal(visitor, app):
    @app.task
    def onboard(customer: str, context: Context) -> str:
        context.step("create", str.upper, customer)
        return context.wait_for("approved", str, timeout=3600)

    run = app.enqueue("onboard", {"customer": "acme"}).id
    drain_queues(app)
    page = visitor.look(f"/runs/{run}")
    text = HtmlPage(page).text
    assert re.search(r'create\s*step\s*done.*?"ACME"', text, re.DOTALL)
    assert re.search(r"approved\s*wait\s*waiting", text)
    assert 'class="part wait"' in page
    assert 'name="signal" value="approved"' in page
    answer = visitor.send("signal-run", run, signal="approved", value="{yes", back=f"/runs/{run}")
    assert answer.status_code == 400
    assert "is no JSON" in answer.text
    said = visitor.press("signal-run", run, signal="approved", value='"yes"', back=f"/runs/{run}")
    assert re.search(r"approved.*?by ana", HtmlPage(said).text, re.DOTALL)
    drain_queues(app)
    assert "succeeded" in HtmlPage(visitor.look(f"/runs/{run}")).text
    change = ChangeList(app.namespace).list()[0]
    assert (change.by, change.what, change.target, change.note) == ("ana", "signal run", run, "approved")


def test_an_occurrence_shows_the_steps_of_its_tasks_in_their_bars(visitor, app):
    @app.job("0 4 * * *", name="steps")
    def steps(context: Context) -> None:
        context.step("first", lambda: 1)
        context.sleep(600)

    app.deploy()
    occurrence, _ = app.control.trigger("steps")
    drain_queues(app)
    page = visitor.look(f"/occurrences/{occurrence}")
    assert 'class="part good"' in page
    assert 'class="part sleep"' in page
    assert "sleep sleep-1: waiting" in page


def test_a_job_that_has_ended_itself_is_shown_as_ended_without_next_instants(app, visitor):
    declare_shop(app).deploy()
    app.control.trigger("hostile")
    done = build_ended(fetch_one(shard_of(app)), done="all imported")
    finish(shard_of(app), done, app.control.find("hostile").job)
    page = HtmlPage(visitor.look("/jobs/hostile")).text
    assert "ended by its task hostile: all imported" in page
    assert "none: the job has ended itself; Resume lets it fire again" in page
    assert "ended" in HtmlPage(visitor.look("/jobs")).text
    overview = HtmlPage(visitor.look("/")).text
    assert "ended by its task" not in overview
    assert "1 paused job" not in overview


def die(app, task, error):
    run = app.enqueue(task, queue="deadly", retry=NO_RETRIES).id
    finish(shard_of(app), build_ended(fetch_one(shard_of(app), where="deadly:5"), "failed", error=error))
    return run


@pytest.fixture
def letters(app):
    @app.task(retry=NO_RETRIES)
    def sends(): ...

    @app.task(retry=NO_RETRIES)
    def pays(): ...

    found = [die(app, "sends", f"ConnectionError: 502 for customer {number}") for number in range(3)]
    return [*found, die(app, "pays", "ValueError: no such customer")]


def listed(page):
    return re.findall(r'class="name"><a href="/runs/(run_[0-9a-f-]+)"', page)


def test_dead_letters_are_filtered_by_task_error_and_time_with_counts_of_tasks_and_causes(visitor, app, letters):
    sends, pays = letters[:3], letters[3:]
    assert set(listed(visitor.look("/dead?task=sends"))) == set(sends)
    assert set(listed(visitor.look("/dead?q=NO+SUCH"))) == set(pays)
    assert set(listed(visitor.look("/dead?task=pays&since=1h"))) == set(pays)
    assert re.search(r"Dead letters\s+3 of 4", HtmlPage(visitor.look("/dead?task=sends&q=502")).text)
    assert re.search(r"ConnectionError: 502 for customer\s+3", HtmlPage(visitor.look("/dead")).text)
    assert "No dead letter is like that" in visitor.look("/dead?q=nothing+like+this")
    shard_of(app).ask("HSET", shard_of(app).keys.run(sends[0]), "ended_at", 1)
    assert set(listed(visitor.look("/dead?task=sends&since=24h"))) == set(sends[1:])


def test_all_dead_letters_of_a_filter_are_chosen_with_one_click(visitor, app, letters):
    page = visitor.look("/dead?task=sends&choose=all")
    assert len(re.findall(r'name="target" value="run_[0-9a-f-]+" checked', page)) == 3
    assert " checked" not in visitor.look("/dead?task=sends")
    assert "3 replayed" in visitor.press("replay-dead", *listed(page))
    assert {each.run.id for each in app.dead.page()} == set(letters[3:])


def test_what_was_not_looked_at_makes_the_number_a_lower_bound(visitor, app, letters, monkeypatch):
    monkeypatch.setattr("jobistemer.web.pages.lists.MAX_LOOKED_AT", 2)
    assert re.search(r"Dead letters\s+≥ \d of 4", HtmlPage(visitor.look("/dead?q=customer")).text)


@pytest.mark.parametrize("path", ["/dead", "/dead?q=customer", "/dead?task=sends&since=24h", "/find?q=nd"])
def test_of_the_dead_letters_only_those_that_are_shown_are_read_with_their_payloads(
    visitor, app, letters, monkeypatch, path
):
    monkeypatch.setattr("jobistemer.web.pages.lists.DEAD_LETTERS_PER_PAGE", 1)
    database, asked = shard_of(app), []
    original = type(database).read_all
    monkeypatch.setattr(
        type(database), "read_all", lambda self, commands: asked.extend(commands) or original(self, commands)
    )
    page = visitor.look(path)
    of_runs = [each for each in asked if each[1] in {database.keys.run(run) for run in letters}]
    whole = {each[1] for each in of_runs if each[0] == "HGETALL" or "message" in each}
    assert len(of_runs) >= len(letters)
    assert whole == {database.keys.run(run) for run in re.findall(r'name="target" value="(run_[^"]+)"', page)}


def test_a_dead_letter_whose_message_cannot_be_read_is_a_row_all_the_same(visitor, app, letters):
    database = shard_of(app)
    database.ask("HSET", database.keys.run(letters[0]), "message", b"{nonsense")
    assert set(listed(visitor.look("/dead?task=sends"))) == set(letters[:3])


def test_workers_show_what_they_run_their_memory_and_their_share_of_a_processor(visitor, app):
    @app.task
    def renders(): ...

    runs = [app.enqueue("renders", queue="pictures").id for _ in range(7)]
    fetch(shard_of(app), "alice", "pictures:5")
    record_beat(shard_of(app), "alice", memory_mib=48.2, cpu_percent=97.4)
    page = visitor.look("/workers")
    text = " ".join(HtmlPage(page).text.split())
    assert ("48 MiB" in text, "97 %" in text, "and 2 more" in text) == (True, True, True)
    assert len([run for run in runs if f'href="/runs/{run}"' in page]) == 5
    record_beat(shard_of(app), "alice")
    assert "MiB" not in HtmlPage(visitor.look("/workers")).text


def test_the_rate_of_a_worker_is_what_it_has_done_and_not_what_its_slots_could_do(visitor, app):
    record_beat(shard_of(app), "alice", done=0, rate=160)
    assert "160" not in HtmlPage(visitor.look("/workers")).text
    database = shard_of(app)
    record_beat(database, "bob", started_at=database.read_clock() - 60_000, done=90, rate=160)
    assert re.search(r"1\.5(?!\d)", HtmlPage(visitor.look("/workers")).text)


def test_a_graph_is_drawn_with_the_states_of_its_tasks_and_a_fan_out_with_its_progress(visitor, app):
    @app.task
    def child(n: int) -> None: ...

    @app.task
    def maps(ctx: Context):
        return ctx.map("child", range(3))

    graph = app.job("0 0 1 1 *", name="drawn")

    @graph.task
    def first() -> None: ...

    @graph.task(after=[first])
    def second() -> None: ...

    app.deploy()
    run = app.enqueue("maps").id
    occurrence, _ = app.control.trigger("drawn")
    drain_queues(app)
    for path, words in {
        "/jobs/drawn": ["first", "second"],
        f"/occurrences/{occurrence}": ["first", "second", "succeeded"],
        f"/runs/{run}": ["maps", "3 runs", "3 of 3", "reducer"],
    }.items():
        (picture,) = re.findall(r'<svg class="graph".*?</svg>', visitor.look(path), re.DOTALL)
        assert [word for word in words if word not in picture] == []
        assert picture.count("<path") == picture.count("<rect x") - 1


def test_every_list_says_how_many_there_are_in_all(visitor, app, ids, monkeypatch):
    monkeypatch.setattr("jobistemer.web.pages.runs.MAX_DELAYED", 1)
    monkeypatch.setattr("jobistemer.web.pages.jobs.MAX_CHANGES", 1)
    monkeypatch.setattr("jobistemer.store.reads.queues._MAX_COUNTED", 1)
    app.control.pause("hostile")
    app.control.resume("hostile")
    for _ in range(3):
        app.enqueue("send_email", {"to": "x"}, queue="slow", delay=3600)
    words = {
        path: " ".join(HtmlPage(visitor.look(path)).text.split())
        for path in ("/runs", "/queues", "/changes", "/jobs/hostile")
    }
    assert re.search(r"choose a queue to page through all; \d+ in all", words["/runs"])
    assert re.search(
        r"Delayed \d+, the next 1; all: jobistemer run list --state scheduled --state suspended", words["/runs"]
    )
    assert "≥ 1" in words["/queues"]
    assert re.search(r"Changes \d+ by people", words["/changes"])
    assert re.search(r"Who did what the latest 1 of \d+; all: jobistemer job log", words["/jobs/hostile"])
    assert re.search(r"History \d+ ", words["/jobs/hostile"])


@pytest.fixture
def tenants(app):
    """Thirty jobs of customers beside three others; one of them is running, two are paused."""

    @app.task
    def report(tenant: int) -> None: ...

    for name in ("backup", "clean-up", "tenant"):
        app.control.put(name, task=report, schedule="0 2 * * *", payload={"tenant": 0})
    for tenant in range(30):
        app.control.put(f"tenant-{tenant:02}", task=report, schedule="0 3 * * *", payload={"tenant": tenant})
    app.control.trigger("tenant-07")
    for name in ("tenant-08", "tenant-09"):
        app.control.pause(name)
    return app


def rows_of(page):
    return re.findall(r'class="name"><a href="([^"]+)">([^<]+)</a>', page)


def test_jobs_whose_names_begin_alike_are_one_row_with_counts_that_opens(tenants, visitor):
    page = visitor.look("/jobs")
    assert rows_of(page) == [
        ("/jobs/backup", "backup"),
        ("/jobs/clean-up", "clean-up"),
        ("/jobs/tenant", "tenant"),
        ("/jobs?group=tenant-", "tenant-…"),
    ]
    assert "tenant-…30 jobs 2 paused 1 running" in " ".join(HtmlPage(page).text.split())
    assert HtmlPage(page).named("td")[-1].get("colspan") == "5"

    # Inside, page by page, and within it by state
    inside = [rows_of(visitor.look(f"/jobs?group=tenant-&page={number}")) for number in (1, 2)]
    assert [len(each) for each in inside] == [25, 5]
    assert inside[0][0] == ("/jobs/tenant-00", "tenant-00")
    assert "30 of 33" in HtmlPage(visitor.look("/jobs?group=tenant-")).text
    assert rows_of(visitor.look("/jobs?group=tenant-&state=paused")) == [
        ("/jobs/tenant-08", "tenant-08"),
        ("/jobs/tenant-09", "tenant-09"),
    ]
    # One by one, sorted by time, or searched: no groups
    for path in ("/jobs?flat=1", "/jobs?sort=due", "/jobs?q=tenant"):
        assert len(rows_of(visitor.look(path))) == 25, path
        assert "tenant-…" not in visitor.look(path), path
    assert rows_of(visitor.look("/jobs?state=running")) == [("/jobs/tenant-07", "tenant-07")]
    assert "No job is like that" in visitor.look("/jobs?group=nobody-")


def test_a_page_of_groups_reads_the_summaries_of_the_jobs_on_it_only(tenants, visitor, monkeypatch):
    visitor.look("/jobs")
    asked = []
    read = jobs.list_summaries
    monkeypatch.setattr(jobs, "list_summaries", lambda shards, ids: asked.append(len(ids)) or read(shards, ids))
    visitor.look("/jobs")
    assert asked == [3]


def test_ended_runs_have_totals_by_state_queue_and_task(visitor, app):
    @app.task(retry=NO_RETRIES)
    def send_email(to: str) -> None:
        if not to:
            raise ValueError("nobody")

    @app.task
    def report() -> None: ...

    for to in ("ann", "bob", ""):
        send_email.options(queue="mail").enqueue(to)
    report.enqueue()
    drain_queues(app, queues={"default": 0, "mail": 0})
    look = lambda path: " ".join(HtmlPage(visitor.look(path)).text.split())  # noqa: E731
    text = look("/runs/ended")
    assert "that have ended: 4 within 31 days" in text
    assert "all states 4 failed 0 dead 1 timed out 0 canceled 0 succeeded 3" in text
    assert "that have ended: 2 within 31 days" in look("/runs/ended?state=succeeded&queue=mail")
    assert "all states 3" in look("/runs/ended?q=EMAIL")
    assert "that have ended: 0 within 31 days" in look("/runs/ended?queue=nowhere")
    # The days before are kept, the present one is counted anew
    report.enqueue()
    drain_queues(app, queues={"default": 0, "mail": 0})
    assert "all states 5" in look("/runs/ended")
