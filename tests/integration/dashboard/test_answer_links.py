"""Links to questions that an application makes: they open the same form as those that the dashboard shows."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
import time_machine
from starlette.testclient import TestClient

from jobistemer import Context, InvalidInput, InvalidStep, Misconfigured
from jobistemer.contrib.answer_links import TOKEN_VARIABLE, URL_VARIABLE, AnswerLinks
from jobistemer.store.keys import forms_key
from jobistemer.web.security.signing import LINK_LIFETIME_S
from tests.support.apps import drain_queues
from tests.support.dashboard_client import AT, DashboardClient, HtmlPage

TOKEN = "a-token-of-this-test"


@pytest.fixture
def asking(app):
    """A run that asks ops twice."""

    @app.task
    def ship(context: Context) -> list[object]:
        asks = {"ship": "Ship it?", "land": "Land it?"}
        return [context.wait_for(name, bool, ask=ask, by=["ops"]) for name, ask in asks.items()]

    run = ship.enqueue()
    drain_queues(app)
    return run


def answer(application, link: str) -> str:
    """Open a link as one who has nothing else, and answer yes. Returns the words of the last page."""
    stranger = TestClient(application, base_url=AT, follow_redirects=False)
    path = link.removeprefix(AT)
    page = stranger.get(path)
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    if found:
        page = stranger.post(path, data={"csrf": found[1], "field.": "true"}, headers={"origin": AT})
    return HtmlPage(page.text).text


@pytest.mark.parametrize("token", [TOKEN, ""], ids=["a dashboard with a token", "one without"])
def test_a_link_of_the_application_opens_the_form_of_its_question(app, asking, token):
    links = AnswerLinks(app, AT, token=token)
    dashboard = DashboardClient(app.namespace, token=token).application
    # The second link is made before its wait has begun, as for a letter with both.
    first, second = links.build(asking, "ship", "ops"), links.build(asking.id, "land", "ops")
    assert "asks something else at present" in answer(dashboard, second)
    assert re.search(r"Answered\s+Ship it\?\s+by ops", answer(dashboard, first))
    drain_queues(app)
    assert "asks something else at present" in answer(dashboard, first)
    assert re.search(r"Answered\s+Land it\?\s+by ops", answer(dashboard, second))
    drain_queues(app)
    assert asking.result() == [True, True]


@pytest.mark.parametrize(("mine", "theirs"), [(TOKEN, ""), ("", TOKEN), (TOKEN, "another-token-of-theirs")])
def test_a_link_that_was_signed_with_another_secret_opens_nothing(app, asking, mine, theirs):
    link = AnswerLinks(app, AT, token=mine).build(asking, "ship", "ops")
    assert "This link opens nothing" in answer(DashboardClient(app.namespace, token=theirs).application, link)


def test_a_link_for_somebody_who_is_not_asked_is_refused_when_it_is_used(app, asking):
    link = AnswerLinks(app, AT, token=TOKEN).build(asking, "ship", "eve")
    said = answer(DashboardClient(app.namespace, token=TOKEN).application, link)
    assert "this question is for ops" in said


@pytest.mark.parametrize(
    ("age_s", "opens"),
    [(LINK_LIFETIME_S - 60, True), (LINK_LIFETIME_S + 60, False), (-60, True), (-LINK_LIFETIME_S - 60, False)],
    ids=["a month old", "too old", "by a clock that is ahead", "by a clock that is a month ahead"],
)
def test_a_link_opens_its_form_for_thirty_days_though_two_clocks_differ(app, asking, age_s, opens):
    with time_machine.travel(time.time() - age_s):
        link = AnswerLinks(app, AT, token=TOKEN).build(asking, "ship", "ops")
    said = answer(DashboardClient(app.namespace, token=TOKEN).application, link)
    assert ("Answered" in said, "This link opens nothing" in said) == (opens, not opens)


@pytest.mark.parametrize("part", [0, 1, 2], ids=["text", "time", "signature"])
def test_a_link_that_was_changed_opens_nothing(app, asking, part):
    links = AnswerLinks(app, AT, token=TOKEN)
    parts, others = (links.build(asking, "ship", who).rpartition("/")[2].split(".") for who in ("eve", "ops"))
    parts[part] = others[part] if part != 1 else "zzzzzz"
    said = answer(DashboardClient(app.namespace, token=TOKEN).application, f"{AT}/answer/{'.'.join(parts)}")
    assert "This link opens nothing" in said


@pytest.mark.parametrize("lose", ["the key", "all"])
def test_when_the_key_of_the_server_is_gone_new_links_open_and_old_ones_do_not(app, monkeypatch, lose):
    monkeypatch.setattr("jobistemer.web.shared.dashboard.KEY_AGE_S", 0.0)
    links, dashboard = AnswerLinks(app, AT, token=""), DashboardClient(app.namespace).application

    def ask():
        return app.enqueue("ask_once")

    @app.task
    def ask_once(context: Context) -> bool | None:
        return context.wait_for("ship", bool, ask="Ship it?", by=["ops"])

    # Given a link, and a dashboard that has shown its form
    run = ask()
    drain_queues(app)
    old = links.build(run, "ship", "ops")
    assert "Answered" in answer(dashboard, old)
    # When the key is removed, as to make all links worthless, or is gone with the server's data
    client = app.namespace.settings.client
    client.flushdb() if lose == "all" else client.delete(forms_key(app.namespace.name))
    again = ask()
    drain_queues(app)
    # Then a link that the same process makes has the new key, and so has the dashboard
    assert "Answered" in answer(dashboard, links.build(again, "ship", "ops"))
    assert "This link opens nothing" in answer(dashboard, old)


@pytest.mark.parametrize("token", [TOKEN, ""], ids=["with a token", "without one"])
def test_a_dashboard_that_is_read_only_says_that_it_takes_no_answer(app, asking, token):
    link = AnswerLinks(app, AT, token=token).build(asking, "ship", "ops")
    reader = DashboardClient(app.namespace, token=token, read_only=True).application
    assert "This dashboard is read-only: open the link on one that takes answers." in answer(reader, link)


@pytest.mark.parametrize("app", ["shop:app", None])
def test_what_is_no_app_is_refused_with_the_remedy(app):
    with pytest.raises(Misconfigured, match=r"AnswerLinks is given .* allowed is the object: app = Jobistemer\(\)"):
        AnswerLinks(app, AT, token=TOKEN)


def test_a_link_is_made_from_a_coroutine_too(app, asking):
    link = asyncio.run(AnswerLinks(app, AT, token="").build_async(asking, "ship", "ops"))
    assert link.startswith(f"{AT}/answer/")


def test_address_and_token_come_from_the_environment(app, monkeypatch):
    monkeypatch.setenv(URL_VARIABLE, "https://jobs.example/admin/jobs/")
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    link = AnswerLinks(app).build("run_1", "ship", "ops")
    assert link.startswith("https://jobs.example/admin/jobs/answer/")
    assert TOKEN not in link


@pytest.mark.parametrize("url", ["HTTPS://Jobs.example", "http://[::1]:8787", "https://jobs.example:8443/admin/jobs"])
def test_an_address_that_browsers_open_is_taken_as_it_is(app, url):
    assert AnswerLinks(app, url, token=TOKEN).build("run_1", "ship", "ops").startswith(f"{url}/answer/")


@pytest.mark.parametrize(
    "url",
    [
        *("jobs.example", "ftp://jobs.example", "https://", "https://a b", "https://x?y=1", "https://ann:pw@x", 5),
        *("https://:8787", "https://x:y", "https://x:99999", "https://x:0", "https://[", "https://[::1"),
    ],
)
def test_an_address_that_no_browser_opens_is_refused_with_the_remedy(app, url):
    with pytest.raises(Misconfigured, match=r"allowed is https://jobs\.example/admin/jobs"):
        AnswerLinks(app, url, token="")


def test_what_is_missing_is_named_with_the_place_where_it_is_set(app, monkeypatch):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(Misconfigured, match=f"the address of the dashboard is missing: .*{URL_VARIABLE}"):
        AnswerLinks(app, token="")
    with pytest.raises(Misconfigured, match=f"no secret to sign links with: .*{TOKEN_VARIABLE}"):
        AnswerLinks(app, AT)


def test_a_token_that_no_dashboard_accepts_is_refused_and_not_shown(app):
    with pytest.raises(Misconfigured, match="has 5 characters") as refused:
        AnswerLinks(app, AT, token="tiny!")
    assert "tiny!" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "error"),
    [((5, "ship", "ops"), InvalidInput), (("run_1", "", "ops"), InvalidStep), (("run_1", "ship", ""), InvalidInput)],
    ids=["no run", "no name", "nobody"],
)
def test_a_link_to_nothing_or_for_nobody_is_refused(app, values, error):
    with pytest.raises(error):
        AnswerLinks(app, AT, token=TOKEN).build(*values)
