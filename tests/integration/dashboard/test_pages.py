"""The pages of the dashboard for a namespace with many runs, on every kind of server."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from jobistemer import Jobistemer
from tests.support.apps import empty_app, shard_of
from tests.support.dashboard_client import DashboardClient, HtmlPage
from tests.support.sample_data import HOSTILE, populate, record_beat


class Past(NamedTuple):
    """A namespace in which much has happened; nothing more happens in these tests."""

    app: Jobistemer
    ids: dict[str, str]


@pytest.fixture(scope="module")
def past(server_url):
    app = empty_app(server_url)
    # On a cluster each test has its own shard; these share what is on that of the first.
    home = shard_of(app)
    app.namespace.for_id = lambda _: home
    ids = populate(app)
    app.control.pause("hostile", HOSTILE)
    return Past(app, ids)


@pytest.fixture
def ids(past):
    return past.ids


@pytest.fixture
def visitor(past):
    return DashboardClient(past.app.namespace)


def paths(ids):
    records = [f"/occurrences/{ids['etl']}", f"/occurrences/{ids['hostile']}"]
    runs = [f"/runs/{ids[each]}" for each in ("dead", "sent", "waiting", "delayed")]
    jobs = ["/jobs/warehouse%2Fetl", "/jobs/hostile"]
    return ["/", "/jobs", "/runs", "/runs?queue=slow", "/queues", "/dead", "/workers", *jobs, *records, *runs]


def test_the_overview_names_what_needs_a_look(visitor, ids):
    text = HtmlPage(visitor.look("/")).text
    assert "No ticker runs, so nothing becomes due" in text
    assert " wait, and no worker is there to take them" in text
    assert "2 jobs failed last time: hostile, warehouse/etl" in text
    assert "Paused or draining queues: slow" in text
    assert re.search(r"3\s*dead letters", text)


def test_a_job_is_shown_with_its_schedule_in_words_its_next_instants_and_its_history(visitor, ids):
    page = visitor.look("/jobs/warehouse%2Fetl")
    text = HtmlPage(page).text
    assert "at 02:00 (UTC)" in text or "at 02:00, " in text
    assert "0 2 * * *" in text
    assert len(re.findall(r"\w{3} \d{4}-\d\d-\d\d 02:00:00", text)) == 5
    assert f'href="/occurrences/{ids["etl"]}"' in page
    assert "triggered by " in text
    assert re.search(r'<rect class="bar bad"', page)


def test_an_occurrence_is_shown_with_a_bar_for_each_attempt_its_errors_and_its_log(visitor, ids):
    page = visitor.look(f"/occurrences/{ids['etl']}")
    bars = [each["class"] for each in HtmlPage(page).named("rect") if "bar" in str(each.get("class"))]
    assert sorted(bars) == ["bar bad", "bar bad", "bar good", "bar good"]
    text = HtmlPage(page).text
    assert "succeeded · " in text
    assert ", 2 attempts" in text
    assert "ConnectionError: the warehouse is away" in text
    assert "ValueError: totals differ" in text
    assert "page 1 of 1" in text


def test_a_run_is_shown_with_its_result_or_with_the_payload_that_it_died_with(visitor, ids):
    assert "sent to ann@shop" in HtmlPage(visitor.look(f"/runs/{ids['sent']}")).text
    dead = HtmlPage(visitor.look(f"/runs/{ids['dead']}")).text
    assert '"to": "<script>' in dead
    assert "is no address" in dead


def test_what_users_wrote_is_text_on_every_page_and_nothing_else(visitor, past, ids):
    record_beat(shard_of(past.app), "<script>alert(2)</script>")
    seen = ""
    for path in paths(ids):
        page = visitor.look(path)
        found = HtmlPage(page)
        seen += found.text
        assert [each["src"] for each in found.named("script")] == [found.named("script")[0]["src"]], path
        assert {str(each["src"]).partition("?")[0] for each in found.named("img")} == {"/static/icon.svg"}, path
        assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")], path
        assert not [attributes for _, attributes in found.tags if "style" in attributes], path
        assert "\x1b" not in page, path
        assert "49" not in re.findall(r"31m (\d+)", page), path
    assert "<script>alert('x')</script>" in seen
    assert "<script>alert(2)</script>" in seen


def test_what_a_page_loads_and_leads_to_is_of_this_dashboard(visitor, ids):
    for path in paths(ids):
        for _, attributes in HtmlPage(visitor.look(path)).tags:
            for name in ("href", "src", "action", "formaction"):
                assert str(attributes.get(name, "/")).startswith(("/", "#")), (path, attributes)
