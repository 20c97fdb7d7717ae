"""Actions: the effect of each, the forms that are refused, and the confirmation before something is destroyed."""

from __future__ import annotations

import pytest

from jobistemer.control import put_aside as quarantine
from jobistemer.control.changes import ChangeList
from jobistemer.control.quarantine import Quarantine
from jobistemer.core.states import RunState
from jobistemer.core.unreadable import Unreadable
from jobistemer.store.acl import build_rule
from jobistemer.store.reads import jobs, queues, records
from jobistemer.web.shared.actions import ACTIONS
from tests.support.apps import shard_of
from tests.support.dashboard_client import AT, DashboardClient, HtmlPage
from tests.support.lifecycle import build_ended, fetch_one, finish
from tests.support.sample_data import record_beat
from tests.support.steps import ask


def put_aside(app):
    """Put a member that nobody can read aside, as a ticker does; its id in the quarantine."""
    database = shard_of(app)
    database.ask("ZADD", database.keys.delayed, 1, b"nonsense")
    quarantine.put_aside(database, [Unreadable(database.keys.delayed, "it names no run", b"nonsense")])
    return Quarantine(app.namespace).list()[0].id


def test_a_job_is_paused_resumed_and_triggered_and_its_list_says_by_whom(visitor, app, ids):
    assert "hostile is paused until " in visitor.press("pause-job", "hostile", note="too loud", minutes="60")
    assert app.control.is_paused("hostile")
    assert "hostile goes on" in visitor.press("resume-job", "hostile")
    assert not app.control.is_paused("hostile")
    assert " is pending" in visitor.press("trigger-job", "hostile")
    told = [(each.by, each.what) for each in app.control.log("hostile", 3)]
    assert told == [("ana", "triggered"), ("ana", "resumed"), ("ana", "paused")]
    assert "paused by ana: too loud" in app.control.log("hostile")[2].note or app.control.log("hostile")[2].note


def test_a_job_is_paused_from_the_list_after_a_question_that_takes_a_note(visitor, app, ids):
    page = visitor.send("pause-job", "hostile", back="/jobs").text
    assert "Pause hostile?" in HtmlPage(page).text
    assert 'name="note"' in page
    assert not app.control.is_paused("hostile")
    visitor.press("pause-job", "hostile", note="too loud", minutes="15")
    assert app.control.log("hostile")[0].note.endswith("too loud")


def test_a_hold_is_released_by_the_name_in_the_list(visitor, app):
    hold = app.holds.put("sync", key=7, seconds=600).name
    assert f'value="{hold}"' in visitor.look("/queues")
    assert "is on hold no more" in visitor.press("release-hold", hold)
    assert app.holds.list() == []
    assert visitor.send("release-hold", hold).status_code == 404


def test_what_was_done_is_said_once(visitor, ids):
    assert "mail is paused; workers hear it" in visitor.press("pause-queue", "mail")
    assert "workers hear it" not in visitor.look("/queues")


def test_an_occurrence_is_replayed_and_canceled(visitor, app, ids):
    visitor.press("replay-occurrence", ids["hostile"])
    history = jobs.list_history(shard_of(app), app.control.find("hostile").job.id)
    (again,) = [each for each in history if each.origin == f"replay {ids['hostile']}"]
    assert "is canceled" in visitor.press("cancel-occurrence", again.id)
    (found,) = records.find_occurrences(shard_of(app), [again.id])
    assert found.state == "canceled"
    assert "by ana" in found.reason + found.error


def test_a_run_is_canceled(visitor, app, ids):
    assert f"{ids['waiting']} is canceled" in visitor.press("cancel-run", ids["waiting"])
    assert app.run(ids["waiting"]).state() is RunState.CANCELED
    assert "had ended before" in visitor.press("cancel-run", ids["waiting"])


def test_dead_letters_are_replayed_and_purged_one_or_several_at_a_time(visitor, app, ids):
    letters = [each.run.id for each in app.dead.page()]
    assert len(letters) == 2
    assert f"replays {ids['dead']}" in visitor.press("replay-dead", ids["dead"])
    left = [each for each in letters if each != ids["dead"]]
    assert "1 replayed; 1 refused, the first: run run_1 is no dead letter" in visitor.press(
        "replay-dead", left[0], "run_1"
    )
    assert app.dead.page() == []
    app.enqueue("send_email", {"to": "x"})
    finish(shard_of(app), build_ended(fetch_one(shard_of(app)), "failed", error="no"))
    (letter,) = app.dead.page()
    assert "1 purged" in visitor.press("purge-dead", letter.run.id)
    assert app.dead.page() == []


def test_a_queue_is_paused_and_resumed(visitor, app, ids):
    paused = lambda: {each.name for each in queues.list_queues(app.namespace.shards) if each.paused}  # noqa: E731
    visitor.press("pause-queue", "mail")
    assert paused() == {"mail"}
    visitor.press("resume-queue", "mail")
    assert paused() == set()


def test_a_worker_is_told_to_be_quiet(visitor, app):
    record_beat(shard_of(app), "alice")
    assert "alice will fetch nothing more" in visitor.press("quiet-worker", "alice")
    assert queues.list_workers(app.namespace.shards)[0].command == "quiet"


@pytest.mark.parametrize(
    ("action", "target", "status"),
    [
        ("pause-job", "none", 404),
        ("trigger-job", "none", 404),
        ("cancel-run", "run_1", 404),
        ("replay-occurrence", "occ_1", 404),
        ("quiet-worker", "nobody", 404),
        ("pause-queue", "a b", 400),
        ("drop-everything", "x", 404),
    ],
)
def test_what_cannot_be_done_says_why(visitor, ids, action, target, status):
    answer = visitor.send(action, target, confirmed="yes")
    assert answer.status_code == status
    assert target in HtmlPage(answer.text).text or action in HtmlPage(answer.text).text


def test_one_that_is_live_cannot_be_replayed(visitor, app, ids):
    live, _ = app.control.trigger("hostile")
    answer = visitor.send("replay-occurrence", live)
    assert answer.status_code == 409
    assert "wait for its end, or cancel it first" in answer.text


@pytest.mark.parametrize("action", [name for name, action in ACTIONS.items() if action.question])
def test_what_destroys_is_asked_before_and_not_done_until_it_is_confirmed(visitor, app, ids, action):
    record_beat(shard_of(app), "alice")
    live, _ = app.control.trigger("hostile")
    aside = put_aside(app)
    targets = {
        "cancel-occurrence": live,
        "cancel-run": ids["waiting"],
        "purge-dead": ids["dead"],
        "purge-quarantined": aside,
        "pause-job": "hostile",
    }
    target = targets.get(action, "alice")
    before = visitor.look("/dead") if action == "purge-dead" else visitor.look("/runs")
    answer = visitor.send(action, target, back="/dead")
    assert answer.status_code == 200
    found = HtmlPage(answer.text)
    fields = {each["name"]: each.get("value") for each in found.named("input") if each.get("name")}
    assert (fields["target"], fields["confirmed"], fields["back"]) == (target, "yes", "/dead")
    assert target in found.text
    after = visitor.look("/dead") if action == "purge-dead" else visitor.look("/runs")
    assert after.count("<tr>") == before.count("<tr>")
    assert visitor.send(action, target, confirmed="yes").status_code == 303


@pytest.mark.parametrize("action", ACTIONS)
def test_a_read_only_dashboard_refuses_every_action_and_shows_none(app, ids, action):
    visitor = DashboardClient(app.namespace, read_only=True)
    assert visitor.send(action, "hostile", confirmed="yes").status_code == 403
    for path in (
        "/",
        "/jobs",
        "/jobs/hostile",
        f"/occurrences/{ids['hostile']}",
        f"/runs/{ids['dead']}",
        "/dead",
        "/queues",
    ):
        page = HtmlPage(visitor.look(path))
        assert [
            each for each in page.named("form") if "/actions/" in str(each["action"]) and page.named("button") == []
        ] == []
        assert [each.get("id") for each in page.named("button")] == ["zone", "live"], path
        assert "read-only" in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://localhost:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(visitor, app, ids, headers):
    assert visitor.send("pause-job", "hostile", headers=headers).status_code == 403
    assert not app.control.is_paused("hostile")


def test_a_form_without_the_csrf_token_of_this_browser_is_refused(visitor, app, ids):
    other = DashboardClient(app.namespace)
    for token in ("", "0" * 43, "é", other.csrf_token()):
        assert visitor.send("pause-job", "hostile", csrf=token).status_code == 403
    token = visitor.csrf_token()
    visitor.client.cookies.clear()
    answer = visitor.client.post(
        "/actions/pause-job", data={"target": "hostile", "csrf": token}, headers={"origin": AT}
    )
    assert answer.status_code == 403
    assert not app.control.is_paused("hostile")


def test_a_page_cannot_be_asked_to_act(visitor, ids):
    visitor.look("/actions/pause-job?target=hostile", 405)


@pytest.mark.parametrize(
    "back", ["http://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb"]
)
def test_an_action_leads_back_to_this_dashboard_and_nowhere_else(visitor, ids, back):
    assert visitor.send("pause-queue", "mail", back=back).headers["location"] == "/"


def test_too_much_at_once_is_refused(visitor, ids):
    assert visitor.send("purge-dead", *(f"run_{n}" for n in range(501))).status_code == 400
    assert visitor.send("pause-queue", "a", "b").status_code == 400
    assert visitor.send("pause-queue").status_code == 400
    assert visitor.send("pause-queue", "x" * 70_000).status_code == 413
    token = visitor.csrf_token()
    assert visitor.client.post("/actions/pause-queue", content=f"csrf={token}&a=1" + "&a=1" * 600).status_code == 400


def test_the_rights_of_a_viewer_are_no_scripts():
    # What a read-only dashboard can do with these rights is tried on real servers in test_acl.py.
    assert not any("eval" in each for each in build_rule(["viewer"], "test"))


def test_who_did_what_is_on_record_for_every_action(app, ids):
    visitor = DashboardClient(app.namespace, user_header="X-Forwarded-User")
    record_beat(shard_of(app), "alice")
    live, _ = app.control.trigger("hostile")
    failed = app.enqueue("send_email", {"to": "x"}).id
    app.run(failed).cancel()
    asking = app.enqueue("send_email", {"to": "x"}, queue="asks").id
    ask(shard_of(app), asking, "asks:5")
    targets = {
        "answer-run": asking,
        "signal-run": app.enqueue("send_email", {"to": "x"}, delay=60).id,
        "restore-quarantined": put_aside(app), "retry-run": failed, "release-hold": app.holds.put("send_email", seconds=60).name,
        "cancel-run": ids["waiting"], "cancel-occurrence": live, "replay-occurrence": ids["hostile"], "quiet-worker": "alice",
        "pause-queue": "mail", "resume-queue": "mail", "replay-dead": ids["dead"],
    }  # fmt: skip
    headers = {"origin": AT, "x-forwarded-user": "ben@shop"}
    for action in ACTIONS:
        left = {"purge-dead": lambda: app.dead.page()[0].run.id, "purge-quarantined": lambda: put_aside(app)}
        target = targets.get(action) or left.get(action, lambda: "hostile")()
        answer = visitor.send(action, target, confirmed="yes", headers=headers, signal="approved", value="1")
        assert answer.status_code == 303, (action, answer.text)
        last = ChangeList(app.namespace).list()[0]
        assert (last.by, last.what.replace(" ", "-")) == ("ben@shop", action)
    page = HtmlPage(visitor.look("/changes")).text
    assert [action for action in ACTIONS if action.replace("-", " ") not in page] == []
