import json

import msgspec
import pytest

from jobistemer.core.states import RunState
from tests.support.lifecycle import build_ended, fetch_one, finish
from tests.support.steps import LATER, record, step, suspend


def answer(result):
    return json.loads(result.stdout)


@pytest.fixture
def waiting(app, shard):
    """A run that has done two steps and waits for a signal."""
    run = app.enqueue("greet")
    delivery = fetch_one(shard)
    record(shard, delivery, {"pay": step(1, 2, value=json_of([1, 2])), "mail[7]": step(3, 4, tries=2)})
    suspend(shard, delivery, wait="approved", records={"approved": step(5, 0, kind="wait", due_at=LATER)})
    return run


def json_of(value):
    return msgspec.Raw(json.dumps(value).encode())


def test_the_steps_of_a_run_are_listed_in_their_order(cli, waiting):
    found = answer(cli("run", "steps", waiting.id, "--json"))
    assert [(each["name"], each["state"]) for each in found["steps"]] == [
        ("pay", "done"),
        ("mail[7]", "done"),
        ("approved", "waiting"),
    ]
    shown = cli("run", "steps", waiting.id).stdout
    assert "mail[7]" in shown
    assert "until" in shown


def test_a_run_without_steps_says_so(cli, app):
    run = app.enqueue("greet")
    assert "has no steps on record" in cli("run", "steps", run.id).stdout
    assert "is not on record" in cli("run", "steps", "run_unknown").output


def test_a_signal_wakes_the_run_and_one_that_was_sent_before_exits_with_1(cli, app, waiting):
    assert answer(cli("signal", waiting.id, "approved", '{"yes": true}', "--id", "s1", "--json"))["new"] is True
    assert waiting.state() is RunState.PENDING
    again = cli("signal", waiting.id, "approved", '{"yes": true}', "--id", "s1")
    assert (again.exit_code, again.stdout.strip()) == (1, "signal s1 was sent before; nothing was changed")
    assert "signal run" in cli("changes").stdout


def test_a_signal_that_cannot_be_sent_is_refused(cli, app, waiting):
    assert "which is no JSON" in cli("signal", waiting.id, "approved", "yes").output
    assert cli("signal", waiting.id, "a\nb").exit_code == 2
    waiting.cancel()
    assert "is canceled: it takes no signal" in cli("signal", waiting.id, "approved").output


def test_a_suspended_run_is_rewound_in_place(cli, app, waiting):
    assert cli("run", "rewind", waiting.id, "--to", "mail[7]").stdout.strip() == waiting.id
    assert waiting.state() is RunState.PENDING
    assert [each["name"] for each in answer(cli("run", "steps", waiting.id, "--json"))["steps"]] == ["pay"]
    assert "is pending: only a run that has ended" in cli("run", "rewind", waiting.id, "--to", "pay").output


def test_a_run_that_has_ended_is_rewound_as_a_new_one_that_has_the_steps_before(cli, app, shard, waiting):
    app.signal(waiting, "approved", 1)
    finish(shard, build_ended(fetch_one(shard), "failed", poison=True))
    again = cli("run", "rewind", waiting.id, "--to", "mail[7]").stdout.strip()
    assert again != waiting.id
    assert [each["name"] for each in answer(cli("run", "steps", again, "--json"))["steps"]] == ["pay"]
    assert fetch_one(shard).message.suspended == 0


def test_a_retried_run_goes_on_behind_its_steps(cli, app, shard, waiting):
    app.signal(waiting, "approved", 1)
    finish(shard, build_ended(fetch_one(shard), "failed", poison=True))
    again = cli("run", "retry", waiting.id).stdout.strip()
    assert [each["name"] for each in answer(cli("run", "steps", again, "--json"))["steps"]] == [
        "pay",
        "mail[7]",
        "approved",
    ]


def test_only_a_step_on_record_can_be_rewound_to(cli, waiting):
    said = " ".join(cli("run", "rewind", waiting.id, "--to", "pai").output.split())
    assert "has no step 'pai' on record; the latest are: pay, mail[7], approved" in said
