"""What a drained queue takes, as docs/how-to/queues.md says."""

import pytest

from jobistemer import Jobistemer, Throttle
from jobistemer.core import ids
from jobistemer.core.errors import QueueClosed
from tests.support.lifecycle import build_ended, fetch_one, finish


@pytest.fixture
def app(server_url, tmp_path):
    app = Jobistemer(server_url, namespace=tmp_path.name)

    @app.job("0 2 * * *", queue="mail", name="nightly")
    def nightly() -> None: ...

    app.deploy()
    return app


@pytest.mark.parametrize(
    "options",
    [{}, {"delay": 60}, {"debounce": 5}, {"throttle": 5}, {"unique": "k"}],
    ids=["at once", "delayed", "debounced", "throttled", "unique"],
)
def test_no_call_of_an_application_gets_in(app, options):
    app.queues.drain("mail")
    with pytest.raises(QueueClosed, match="queue 'mail' is being drained"):
        app.enqueue("send", queue="mail", **options)
    assert app.enqueue("send", queue="other", **options)
    app.queues.open("mail")
    assert app.enqueue("send", queue="mail", **options)


def test_a_batch_is_refused(app):
    app.queues.drain("mail")
    with pytest.raises(QueueClosed):
        app.enqueue_many(app.request("send", queue="mail") for _ in range(3))
    (queue,) = [each for each in app.queues.list() if each.name == "mail"]
    assert (queue.waiting, queue.draining) == (0, True)


@pytest.mark.parametrize("options", [{"unique": "k"}, {"throttle": Throttle(60)}], ids=["unique", "throttled"])
def test_a_call_whose_run_is_there_already_gets_it(app, options):
    first = app.enqueue("send", queue="mail", **options)
    app.queues.drain("mail")
    again = app.enqueue("send", queue="mail", **options)
    assert (again.id, again.existing) == (first.id, True)


def test_a_dead_letter_can_be_replayed_into_it(app):
    shard = app.namespace.shards[0]
    run = app.enqueue("send", queue="mail", max_crashes=1)
    finish(shard, build_ended(fetch_one(shard, where="mail:5"), "lost", error="its worker died"))
    app.queues.drain("mail")
    replayed = app.dead.replay(run.id)
    assert fetch_one(shard, where="mail:5").message.run == replayed


def test_the_occurrences_of_jobs_go_on(app):
    app.queues.drain("mail")
    occurrence, state = app.control.trigger("nightly")
    assert state == "pending"
    message = fetch_one(app.namespace.shards[0], where="mail:5").message
    assert message.run == ids.run_id(occurrence, ids.task_id(ids.job_id("nightly"), "nightly"))
