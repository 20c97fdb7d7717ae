import json

import msgspec
import pytest

from jobistemer.core.runs.questions import build_question
from jobistemer.core.states import RunState
from tests.support.clocks import NOW
from tests.support.lifecycle import fetch_one
from tests.support.steps import LATER, signals, step, suspend


class Approval(msgspec.Struct):
    yes: bool
    note: str = ""


@pytest.fixture
def asking(app, shard):
    """A run that asks whether an account may be closed."""
    run = app.enqueue("greet")
    question = build_question("approved", "Close the account of Ann?", ["ops"], Approval, (NOW, LATER))
    wait = {"approved": step(1, 0, kind="wait", due_at=LATER)}
    suspend(shard, fetch_one(shard), LATER, wait="approved", question=question, records=wait)
    return run


def said(result):
    return " ".join(result.output.split())


def test_questions_are_listed_with_their_fields_and_who_may_answer(cli, asking):
    (found,) = json.loads(cli("questions", "--json").stdout)["questions"]
    assert (found["run"], found["question"], found["by"]) == (asking.id, "Close the account of Ann?", ["ops"])
    assert [each["name"] for each in found["fields"]] == ["yes", "note"]
    assert "Close the account" in said(cli("questions"))


def test_an_answer_wakes_the_run_and_is_on_record_with_its_author(cli, shard, asking):
    done = cli("answer", asking.id, "yes=true", "note=12", "--by", "ops")
    assert done.exit_code == 0, done.output
    assert asking.state() is RunState.PENDING
    (sent,) = signals(shard, asking.id)
    assert (sent.name, sent.by, json.loads(sent.value)) == ("approved", "ops", {"yes": True, "note": "12"})
    assert json.loads(cli("questions", "--json").stdout)["questions"] == []
    assert "asks nothing" in said(cli("answer", asking.id, "yes=true", "--by", "ops"))


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (["yes=true", "--by", "bob"], "'bob' is not asked"),
        (["yes", "--by", "ops"], "'yes' is no FIELD=VALUE"),
        (["yes=perhaps", "--by", "ops"], "yes is 'perhaps', allowed are true and false"),
        (["note=fine", "--by", "ops"], "yes is missing"),
        (["yes=true", "other=1", "--by", "ops"], "there is no field 'other'; it has yes, note"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays(cli, asking, given, refused):
    done = cli("answer", asking.id, *given)
    assert done.exit_code != 0
    assert refused in said(done)
    assert len(json.loads(cli("questions", "--json").stdout)["questions"]) == 1


def test_a_run_that_asks_nothing_takes_no_answer(cli, app):
    run = app.enqueue("greet")
    assert "asks nothing" in said(cli("answer", run.id, "yes=true"))
    assert said(cli("questions")) == "no run asks anything"
