"""A definition says what its fields say, whoever makes it: what tickers could not read is refused before it is written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from jobistemer import Blackout, Cron, Dates, Holidays, InvalidDefinition, InvalidInput, Jobistemer, Window
from jobistemer.core.jobs.job import FailureStrategy, Job, Overlap, Recovery, Task, Update, decode_job
from jobistemer.core.jobs.new_job import encode_new_job
from jobistemer.core.jobs.options import Options
from jobistemer.core.jobs.retries import Exponential
from jobistemer.store.calls import jobs as calls
from jobistemer.store.keys import Keys

WRONG = [
    ("overlap", "wait", "overlap is 'wait', allowed are skip, queue, allow, replace"),
    ("overlap", None, "overlap is None"),
    ("overlap", 3, "overlap is 3"),
    ("recovery", "all", "recovery is 'all', allowed are execute_all"),
    ("update", "now", "update is 'now', allowed are immediate, graceful, windowed"),
    ("failure", "stop", "failure is 'stop', allowed are fail_fast, continue, retry_on_failure"),
    ("failure", None, "failure is None"),
    ("calendars", "DE", "calendars is 'DE', allowed is a list of Holidays"),
    ("calendars", ["DE"], "calendars has 'DE', allowed are Holidays"),
    ("calendars", None, "calendars is None"),
    ("calendars", 5, "calendars is 5"),
    ("description", None, "description is None"),
    ("description", 5, "description is 5"),
    ("description", b"text", "description is b'text'"),
    ("description", "\ud800", r"description is '\\ud800'"),
    ("description", "x" * 2_001, r"\(2001 characters\), allowed are texts of at most 2000 characters"),
    ("alert", None, "alert is None"),
    ("alert", 5, "alert is 5"),
    ("max_queued", 0.5, "max_queued is 0.5, allowed are whole numbers from 0 to 10000"),
    ("max_queued", True, "max_queued is True"),
    ("pause_on_failure", 0.5, "pause_on_failure is 0.5, allowed are whole numbers"),
    ("recovery_limit", 1.5, "recovery_limit is 1.5, allowed are whole numbers"),
    ("history_count", 1e3, "history_count is 1000.0, allowed are whole numbers"),
    ("history_s", "7d", "history_s is '7d'"),
    ("grace_s", float("nan"), "grace_s is nan"),
    ("catch_up_per_s", None, "catch_up_per_s is None"),
    ("update_window_s", 10**5000, "update_window_s is <int that cannot be shown"),
    ("occurrence_timeout_s", "5", "occurrence_timeout_s is '5'"),
    ("expect_within_s", "5", "expect_within_s is '5'"),
]


def build(**fields: Any) -> Job:
    return Job(**{"name": "nightly", "schedule": Cron("0 2 * * *"), "tasks": (Task("only", "only"),)} | fields)


@pytest.mark.parametrize(("field", "value", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_a_wrong_policy_is_refused_where_it_is_declared(field: str, value: Any, message: str) -> None:
    app = Jobistemer("fake://wrong-policies")
    with pytest.raises(InvalidInput, match=message):
        app.job("0 2 * * *", **{field: value})
    with pytest.raises(InvalidInput, match=message):
        app.every(5).minutes.do(lambda: None, name="words", **{field: value})
    assert app.jobs() == []


@pytest.mark.parametrize(("field", "value", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_a_wrong_policy_is_refused_once_more_before_it_is_written(field: str, value: Any, message: str) -> None:
    # What is put into a definition behind its back is found by the decoder that readers use.
    job = build()
    msgspec.structs.force_setattr(job, field, value)
    new = calls.JobRegistration(job, "mark", 0, 0, 0, 0)
    with pytest.raises(InvalidInput, match="job 'nightly'"):
        calls.register(Keys("test", 0), new)
    with pytest.raises(InvalidInput, match="job 'nightly'"):
        calls.postpone(Keys("test", 0), new, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tasks": ()}, "has 0 tasks"),
        ({"tasks": "only"}, "tasks is 'only', allowed is a list of Task"),
        ({"tasks": [print]}, "tasks has <built-in function print>"),
        ({"schedule": "0 2 * * *"}, "schedule is '0 2"),
        ({"update": "windowed", "update_window": "0 2 * * *"}, "update_window is '0 2"),
        ({"on_complete": "task"}, "on_complete is 'task', allowed is Task"),
    ],
)
def test_a_definition_made_by_hand_is_held_to_its_types(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        build(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"payload": {"a": 1}}, "payload is {'a': 1}"),
        ({"options": {"queue": "mail"}}, "options are {'queue': 'mail'}"),
        ({"after": "first"}, "after is 'first'"),
        ({"after": [print]}, "after has <built-in"),
        ({"failure": "stop"}, "failure is 'stop', allowed are"),
    ],
)
def test_a_task_made_by_hand_is_held_to_its_types(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        Task("only", "only", **fields)


@pytest.mark.parametrize("payload", [b"{", b'{},"after":["x"]', b"[]", b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"])
def test_a_payload_that_no_handler_could_read_is_not_written(payload: bytes) -> None:
    job = build(tasks=(Task("only", "only", msgspec.Raw(payload)),))
    with pytest.raises(InvalidInput, match="payload of task 'only'"):
        encode_new_job(job)


def test_words_become_members_of_their_enumeration_and_lists_tuples() -> None:
    calendars = [
        Dates("days", ()),
        Holidays("DE", "DE"),
        Blackout("move", (Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),)),
    ]
    tasks = [Task("only", "only", after=[], failure="continue")]
    job = build(overlap="queue", recovery="compressed", update="immediate", calendars=calendars, tasks=tasks)
    assert (job.overlap, job.recovery, job.update) == (Overlap.QUEUE, Recovery.COMPRESSED, Update.IMMEDIATE)
    assert job.tasks[0].failure is FailureStrategy.CONTINUE
    assert type(job.overlap) is Overlap
    assert (job.calendars, job.tasks[0].after) == (tuple(calendars), ())
    assert decode_job(encode_new_job(job)) == job


def test_a_stored_description_that_is_longer_than_allowed_today_can_still_be_read() -> None:
    stored = encode_new_job(build(description="DESCRIPTION")).replace(b"DESCRIPTION", b"x" * 3_000)
    assert decode_job(stored).description == "x" * 3_000


def test_a_number_of_retries_is_stored_as_the_policy_that_older_processes_read() -> None:
    task = Task("only", "only", options=Options(retry=7))
    assert task.options.retry == Exponential(max_retries=7)
    assert b'"retry":{"kind":"exponential","max_retries":7}' in encode_new_job(build(tasks=(task,)))
