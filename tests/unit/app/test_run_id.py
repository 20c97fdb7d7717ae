"""A call may bring the id of its run, so that a second send finds the run of the first."""

from __future__ import annotations

import pytest

from jobistemer import Debounce, InvalidInput, Jobistemer, Request, new_run_id


@pytest.fixture
def app():
    app = Jobistemer("fake://run-ids", namespace="run-ids")

    @app.task
    def send(to: str) -> str:
        return to

    return app


def test_a_call_that_is_sent_again_with_its_id_finds_its_own_run(app):
    run_id = new_run_id()
    send = app.handlers["send"]
    first = app.enqueue("send", {"to": "a"}, run_id=run_id)
    again = app.enqueue("send", {"to": "b"}, run_id=run_id)
    assert first.id == again.id == run_id
    many = app.enqueue_many([app.request("send", {"to": "c"}, run_id=run_id)])
    assert [each.id for each in many] == [run_id]
    assert send.name == first.record().handler


def test_a_task_handle_takes_the_id_and_hands_it_to_its_request(app):
    from jobistemer.app.handles import TaskHandle

    handle = TaskHandle(app.handlers["send"], app.producer, Request("send"))
    run_id = new_run_id()
    assert handle.options(run_id=run_id).request(to="a").run_id == run_id
    assert handle.options(run_id=run_id).enqueue(to="a").id == run_id


@pytest.mark.parametrize("given", ["run_1", "x", 5, None, "run_01a22c42-556a-7680-8c5a-6d2f4213a7a7\n"])
def test_another_text_is_refused_by_name(app, given):
    with pytest.raises(InvalidInput, match="run_id is .* allowed is what new_run_id"):
        app.enqueue("send", {"to": "a"}, run_id=given)
    with pytest.raises(InvalidInput):
        app.enqueue_many([Request("send", {"to": "a"}, run_id=given)] if given is not None else [None])


def test_a_debounced_call_has_no_id_of_its_own(app):
    with pytest.raises(InvalidInput, match="debounced"):
        app.enqueue("send", {"to": "a"}, run_id=new_run_id(), debounce=Debounce(5))
