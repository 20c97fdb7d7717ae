"""Settings are validated once, and refused with the field, the value and what is allowed."""

from __future__ import annotations

import pytest

from jobistemer.core.errors import InvalidName, Misconfigured
from jobistemer.core.settings import TickerSettings, WorkerSettings, parse_queues


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concurrency": 0}, "concurrency is 0, allowed is 1–1000"),
        ({"concurrency": True}, "concurrency is True, allowed is 1–1000"),
        ({"concurrency": "8"}, "concurrency is '8', allowed is 1–1000"),
        ({"lease_s": 0.5}, "lease_s is 0.5, allowed is 1–3600"),
        ({"beat_s": 6}, "beat_s is 6, allowed is 0.05–5"),
        ({"grace_s": -1}, "grace_s is -1, allowed is 0–86400"),
        ({"queues": {}}, "queues is empty; name at least one"),
        ({"queues": {"a": -1}}, "weight of queue a is -1, allowed is 0–1000"),
    ],
)
def test_a_worker_setting_that_cannot_be(settings, message):
    with pytest.raises(Misconfigured, match=message):
        WorkerSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pass_s": 0}, "pass_s is 0, allowed is 0.1–60"),
        ({"horizon_s": 1}, "horizon_s is 1, allowed is 2–3600"),
        ({"catch_up": 0}, "catch_up is 0, allowed is 1–1000"),
    ],
)
def test_a_ticker_setting_that_cannot_be(settings, message):
    with pytest.raises(Misconfigured, match=message):
        TickerSettings(**settings)


def test_a_queue_name_that_may_not_enter_a_key():
    with pytest.raises(InvalidName, match="queue name 'a b'"):
        WorkerSettings(queues={"a b": 0})


def test_a_setting_that_does_not_exist_is_an_error():
    with pytest.raises(TypeError, match="speed"):
        WorkerSettings(speed=9)


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("default", {"default": 0}),
        ("critical:6,default:3,low", {"critical": 6, "default": 3, "low": 0}),
        (" a , b:1 ,", {"a": 0, "b": 1}),
        ("", {}),
    ],
)
def test_queues_as_they_are_written(text, queues):
    assert parse_queues(text) == queues


@pytest.mark.parametrize("text", ["a:x", "a:-1", "a:1.5"])
def test_a_weight_that_is_no_number(text):
    with pytest.raises(Misconfigured, match="is no whole number"):
        parse_queues(text)
