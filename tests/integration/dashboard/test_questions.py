"""Questions of runs: their form, who may answer, what is on record, and the link that opens one form alone."""

from __future__ import annotations

import re

import msgspec
import pytest
from starlette.testclient import TestClient

from jobistemer import Context
from jobistemer.control.changes import ChangeList
from tests.support.apps import drain_queues
from tests.support.dashboard_client import AT, DashboardClient, HtmlPage

TOKEN = "a-token-of-this-test"


class Approval(msgspec.Struct):
    """The answer of these tests."""

    ok: bool
    note: str = ""


@pytest.fixture
def asking(app):
    """A run that asks ops, and its handle."""

    @app.task
    def close(customer: str, context: Context) -> str:
        found = context.wait_for("approved", Approval, timeout=3600, ask="Close the account of {customer}?", by=["ops"])
        return "expired" if found is None else f"{found.ok} {found.note}"

    run = close.enqueue("<b>acme</b>")
    drain_queues(app)
    return run


def links_of(page: str) -> list[str]:
    return re.findall(r'href="(/answer/[^"]+)"', page)


def test_a_question_is_shown_with_the_fields_of_its_type_and_answered(app, asking):
    visitor = DashboardClient(app.namespace, by="ops")
    assert "1 question of runs for people" in HtmlPage(visitor.look("/")).text
    page = visitor.look("/questions")
    assert "Close the account of <b>acme</b>?" in HtmlPage(page).text
    assert HtmlPage(page).named("b") == []
    assert 'name="field.ok" value="true"' in page
    assert 'name="field.note"' in page
    assert "Close the account" in visitor.look(f"/runs/{asking.id}")
    fields = {"field.ok": "true", "field.note": "fine", "signal": "approved"}
    said = visitor.press("answer-run", asking.id, back="/questions", **fields)
    assert "No run asks anything" in said
    drain_queues(app)
    assert asking.result() == "True fine"
    change = ChangeList(app.namespace).list()[0]
    assert (change.by, change.what, change.target, change.note) == (
        "ops",
        "answer run",
        asking.id,
        "Close the account of <b>acme</b>?",
    )
    assert re.search(
        r"approved.*?by ops, taken by a wait", HtmlPage(visitor.look(f"/runs/{asking.id}")).text, re.DOTALL
    )


def test_the_note_of_a_run_that_asks_leaves_the_arguments_of_its_call_out(app, asking):
    assert asking.record().note == "asks: Close the account of …?"


def test_only_those_who_are_asked_may_answer_and_one_answer_counts(app, asking):
    other = DashboardClient(app.namespace, by="eve").send("answer-run", asking.id, **{"field.ok": "true"})
    assert other.status_code == 400
    assert "this question is for ops" in HtmlPage(other.text).text
    visitor = DashboardClient(app.namespace, by="ops")
    assert visitor.send("answer-run", asking.id, signal="else", **{"field.ok": "true"}).status_code == 409
    assert visitor.send("answer-run", asking.id, **{"field.ok": "true"}).status_code == 303
    again = visitor.send("answer-run", asking.id, **{"field.ok": ""})
    assert (again.status_code, "asks nothing" in again.text) == (409, True)
    drain_queues(app)
    assert asking.result() == "True "


def test_a_signed_link_opens_just_its_form_also_without_the_token(app, asking):
    clerk = DashboardClient(app.namespace, by="ana", token=TOKEN)
    clerk.client.headers["authorization"] = f"Bearer {TOKEN}"
    (link,) = links_of(clerk.look("/questions"))
    stranger = TestClient(clerk.application, base_url=AT, follow_redirects=False)
    page = stranger.get(link)
    assert page.status_code == 200
    assert "Close the account of" in page.text
    assert app.namespace.name not in HtmlPage(page.text).text
    assert not [
        each for each in HtmlPage(page.text).named("a") if str(each["href"]).startswith(("/jobs", "/runs", "/actions"))
    ]
    for path in ("/", "/runs", f"/runs/{asking.id}", "/questions"):
        assert stranger.get(path).status_code == 401
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    form = {"csrf": csrf, "field.ok": "true", "field.note": "by link"}
    assert stranger.post(link, data={**form, "csrf": "x"}, headers={"origin": AT}).status_code == 403
    assert stranger.post(link, data=form, headers={"origin": "http://evil.example"}).status_code == 403
    answer = stranger.post(link, data=form, headers={"origin": AT})
    assert answer.status_code == 200
    assert "Answered" in answer.text
    assert stranger.get(link).status_code == 409
    drain_queues(app)
    assert asking.result() == "True by link"
    assert ChangeList(app.namespace).list()[0].by == "ops"


def test_a_link_that_was_changed_or_made_elsewhere_opens_nothing(app, asking):
    visitor = DashboardClient(app.namespace, by="ops")
    (link,) = links_of(visitor.look("/questions"))
    for wrong in (link[:-9] + ("A" if link[-9] != "A" else "B") + link[-8:], "/answer/x", "/answer/e30.x.y"):
        assert visitor.client.get(wrong).status_code == 404
    other = DashboardClient(app.namespace, token=TOKEN)
    assert other.client.get(link).status_code == 404


def test_a_read_only_dashboard_shows_questions_without_form_and_link(app, asking):
    (link,) = links_of(DashboardClient(app.namespace, by="ops").look("/questions"))
    reader = DashboardClient(app.namespace, read_only=True)
    page = reader.look("/questions")
    assert "Close the account of" in page
    assert "field.ok" not in page
    assert links_of(page) == []
    assert reader.client.post(link, data={"field.ok": "true"}, headers={"origin": AT}).status_code == 403
