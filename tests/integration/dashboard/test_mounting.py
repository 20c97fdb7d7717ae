"""The dashboard inside another application, and behind a proxy that shows it under a path."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from jobistemer.core.errors import InvalidInput, Misconfigured
from jobistemer.web import dashboard
from tests.support.dashboard_client import AT, DashboardClient, HtmlPage


def browse(application):
    return TestClient(application, base_url=AT, follow_redirects=False)


@pytest.fixture
def mounted(app, ids):
    """A dashboard at /admin/jobs of an application, and one by a proxy at the same path."""
    inside = Starlette(
        routes=[Route("/", lambda _: PlainTextResponse("mine")), Mount("/admin/jobs", dashboard(app, by="ana"))]
    )
    return [browse(inside), DashboardClient(app.namespace, root_path="/admin/jobs").client]


def test_every_address_on_its_pages_is_under_its_path(mounted, ids):
    pages = (
        "/",
        "/jobs",
        "/jobs/hostile",
        f"/occurrences/{ids['hostile']}",
        f"/runs/{ids['dead']}",
        "/runs",
        "/queues",
        "/dead",
        "/workers",
    )
    for client in mounted:
        for path in pages:
            answer = client.get(f"/admin/jobs{path}")
            assert answer.status_code == 200, path
            found = HtmlPage(answer.text)
            for _, attributes in found.tags:
                for name in ("href", "src", "action", "formaction"):
                    assert str(attributes.get(name, "#")).startswith(("/admin/jobs/", "#")), (path, attributes)
        for path in re.findall(r'(?:href|src)="([^"#]+)"', client.get("/admin/jobs/jobs").text):
            assert client.get(path).status_code == 200, path


def test_an_action_leads_back_under_its_path(mounted, app):
    for client in mounted:
        page = client.get("/admin/jobs/jobs/hostile").text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        form = {"csrf": csrf, "target": "hostile", "back": "/admin/jobs/jobs/hostile", "confirmed": "yes"}
        answer = client.post("/admin/jobs/actions/pause-job", data=form, headers={"origin": AT})
        assert (answer.status_code, answer.headers["location"]) == (303, "/admin/jobs/jobs/hostile")
        assert "hostile is paused" in client.get("/admin/jobs/jobs/hostile").text
        answer = client.post(
            "/admin/jobs/actions/resume-job", data={**form, "back": "/elsewhere"}, headers={"origin": AT}
        )
        assert answer.headers["location"] == "/admin/jobs/"


def test_what_is_sought_is_found_under_its_path(mounted):
    for client in mounted:
        assert client.get("/admin/jobs/find?q=hostile").headers["location"] == "/admin/jobs/jobs/hostile"


def test_the_page_that_one_looks_at_is_marked(mounted):
    for client in mounted:
        found = HtmlPage(client.get("/admin/jobs/queues").text)
        assert [each["href"] for each in found.named("a") if each.get("aria-current") == "page"] == [
            "/admin/jobs/queues"
        ]


def test_behind_a_proxy_nothing_is_outside_of_its_path(mounted):
    _, proxied = mounted
    answer = proxied.get("/jobs")
    assert answer.status_code == 404
    assert "/admin/jobs/" in answer.text
    assert proxied.get("/admin/jobsearch").status_code == 404


def test_with_a_token_the_log_in_is_under_its_path(app):
    client = browse(Starlette(routes=[Mount("/admin/jobs", dashboard(app, token="a-token-of-this-test"))]))
    answer = client.get("/admin/jobs/dead", headers={"accept": "text/html"})
    assert answer.headers["location"] == "/admin/jobs/login?next=/dead"
    page = client.get(answer.headers["location"]).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    data = {"csrf": csrf, "token": "a-token-of-this-test", "next": "/dead"}
    answer = client.post("/admin/jobs/login", data=data, headers={"origin": AT})
    assert answer.headers["location"] == "/admin/jobs/dead"
    assert client.get("/admin/jobs/dead").status_code == 200


def test_a_name_is_known_when_it_was_given(app):
    given = browse(dashboard(app, hosts=["Shop.Example"]))
    assert given.get("/", headers={"host": "shop.example"}).status_code == 200
    answer = given.get("/", headers={"host": "other.example"})
    assert answer.status_code == 400
    assert "hosts=" in answer.text


def test_wrong_settings_are_refused_where_it_is_made(app):
    with pytest.raises(Misconfigured, match="hosts=\\['shop.example'\\]"):
        dashboard(app, hosts="shop.example")
    with pytest.raises(Misconfigured, match="has 5 characters"):
        dashboard(app, token="short")
    with pytest.raises(InvalidInput, match="printable characters"):
        dashboard(app, by="x" * 101)


def test_the_user_whom_a_proxy_names_is_on_record(app, ids):
    visitor = DashboardClient(app.namespace, user_header="X-Forwarded-User")
    assert (
        visitor.send(
            "pause-job", "hostile", confirmed="yes", headers={"origin": AT, "x-forwarded-user": "ben@shop"}
        ).status_code
        == 303
    )
    assert app.control.log("hostile")[0].by == "ben@shop"
    for headers in ({"origin": AT}, {"origin": AT, "x-forwarded-user": " "}):
        answer = visitor.send("resume-job", "hostile", headers=headers)
        assert answer.status_code == 403
        assert "X-Forwarded-User" in answer.text
    assert (
        visitor.send("resume-job", "hostile", headers={"origin": AT, "x-forwarded-user": "b" * 101}).status_code == 400
    )
    assert app.control.is_paused("hostile")
