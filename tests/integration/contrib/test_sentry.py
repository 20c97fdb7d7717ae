"""Sentry receives the exceptions of handlers with their run, and nothing of one run in another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.transport import Transport

from jobistemer import NO_RETRIES, Retry
from jobistemer.contrib import sentry
from jobistemer.core.jobs.retries import Delays
from tests.support.apps import drain_queues, empty_app


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """What was sent."""
    found: list[dict[str, Any]] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            if (event := envelope.get_event()) is not None:
                found.append(event)

    sentry_sdk.init("https://key@sentry.invalid/1", transport=Kept, default_integrations=False)
    yield found
    sentry_sdk.get_client().close()
    # Without its integrations, which would stay in every client of this process.
    sentry_sdk.init(default_integrations=False)


@pytest.fixture
def app(server_url):
    app = empty_app(server_url)
    sentry.install(app)
    return app


@pytest.mark.parametrize("colour", ["thread", "coroutine"])
def test_an_exception_is_sent_with_its_run_and_what_a_handler_adds_stays_with_its_attempt(app, events, colour):
    def body(text: str) -> None:
        sentry_sdk.set_tag("mine", len(events))
        raise ValueError("no")

    async def body_async(text: str) -> None:
        body(text)

    task = app.task(name="mail.send", queue="default", retry=Delays((0,)))(body if colour == "thread" else body_async)
    run = task.enqueue("hunter2")
    drain_queues(app)
    assert [event["contexts"]["jobistemer"]["attempt"] for event in events] == [0, 1]
    event = events[0]
    assert event["exception"]["values"][-1]["type"] == "ValueError"
    assert (event["transaction"], event["contexts"]["jobistemer"]["run"]) == ("mail.send", run.id)
    assert event["tags"] == {"jobistemer.task": "mail.send", "jobistemer.queue": "default", "mine": 0}
    assert "mine" not in sentry_sdk.get_isolation_scope()._tags
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "body"
    # Its own frames send nothing of the payload; what a handler holds is the application's to show or not.
    own = [each for each in frames if each["module"].startswith("jobistemer.")]
    assert own
    assert not any("vars" in each for each in own)
    assert "hunter2" in str(frames[-1]["vars"])


def test_the_payload_is_in_no_frame_of_the_package_for_built_in_tasks_either(app, events):
    from jobistemer.contrib import http

    http.install(app, retry=NO_RETRIES).enqueue("ftp://example.org/", headers={"X-Order": "hunter2"})
    drain_queues(app)
    assert events
    assert "hunter2" not in str(events)


def test_a_wish_for_another_attempt_is_no_error_and_a_failure_for_good_is_one(app, events):
    @app.task(retry=Delays((0,)))
    def asks(run: int) -> None:
        raise Retry(after=0)

    @app.task(retry=NO_RETRIES)
    def fails() -> None:
        raise LookupError("gone")

    asks.enqueue(1)
    fails.enqueue()
    drain_queues(app)
    assert [event["exception"]["values"][-1]["type"] for event in events] == ["LookupError"]
