"""The actions of `jobistemer top`: what a key does to the selected row, after a question."""

import pytest

from jobistemer import NO_RETRIES
from jobistemer.cli.top.actions import find_action
from jobistemer.cli.top.parts import Target
from jobistemer.control.changes import ChangeList
from jobistemer.core.errors import NotFound
from tests.support.lifecycle import build_ended, fetch_one, finish


def press(app, key, kind, name, *, is_stopped=False):
    action = find_action(app.namespace, "ana", key, Target(kind, name, is_stopped))
    assert action is not None
    return action.question, action.perform()


def test_a_job_is_paused_resumed_and_triggered(app):
    app.deploy()
    assert press(app, "P", "job", "nightly") == ("pause job nightly", "nightly is paused")
    assert app.control.is_paused("nightly")
    assert press(app, "P", "job", "nightly", is_stopped=True)[0] == "resume job nightly"
    assert not app.control.is_paused("nightly")
    assert press(app, "T", "job", "nightly") == ("trigger job nightly", "nightly is triggered: pending")
    assert [each.by for each in ChangeList(app.namespace).list()] == ["ana"] * 3


def test_a_queue_is_paused_and_resumed(app):
    press(app, "P", "queue", "mail")
    assert [each.paused for each in app.queues.list()] == [True]
    press(app, "P", "queue", "mail", is_stopped=True)
    assert not any(each.paused for each in app.queues.list())


def test_a_dead_letter_is_replayed_and_a_run_is_canceled(app, shard):
    @app.task(retry=NO_RETRIES)
    def resize() -> None: ...

    dead = resize.enqueue()
    finish(shard, build_ended(fetch_one(shard), "failed", error="no"))
    assert press(app, "R", "dead", dead.id)[1].endswith(f"replays {dead.id}")
    waiting = resize.enqueue()
    assert press(app, "X", "run", waiting.id)[1] == f"{waiting.id} is canceled"


def test_what_is_not_there_any_more_is_said_by_name(app):
    action = find_action(app.namespace, "ana", "Q", Target("worker", "gone"))
    assert action.question == "let worker gone fetch nothing more"
    with pytest.raises(NotFound, match="no worker 'gone' is on record"):
        action.perform()


@pytest.mark.parametrize(
    ("key", "kind"), [("P", "worker"), ("T", "queue"), ("R", "run"), ("X", "job"), ("Z", "job"), ("P", "ticker")]
)
def test_a_key_that_means_nothing_for_a_row_does_nothing(app, key, kind):
    assert find_action(app.namespace, "ana", key, Target(kind, "x")) is None
