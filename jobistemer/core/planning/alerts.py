"""Alerts: a job that has not completed for longer than `expect_within_s` says so once, and once more when it has."""

from __future__ import annotations

from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.builtin import HTTP_TASK
from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.messages import Message, compose
from jobistemer.core.names import checked_name

OVERDUE, RECOVERED = "overdue", "recovered"


class Alert(msgspec.Struct, frozen=True):
    """What the receiver is told. state: `overdue` or `recovered`; at: Unix milliseconds."""

    job: str
    state: str
    at: int
    text: str


def check_alert(job: str, expect_within_s: float | None, alert: str) -> None:
    """Raise InvalidDefinition unless both are given or neither is, and the target is one."""
    if (expect_within_s is None) != (not alert):
        raise InvalidDefinition(
            f"job {job!r}: expect_within_s is {expect_within_s!r} and alert is {alert!r}; they go together: say within "
            "how many seconds the job has to complete, and the address or the task that is told when it does not",
        )
    if alert and not is_address(alert):
        checked_name("alert task", alert)


def is_address(alert: str) -> bool:
    """Whether the target of an alert is an address, and not the name of a task."""
    return alert.startswith(("http://", "https://"))


def alert_message(job: str, target: str, state: str, expect_within_s: float, mark: int, now_ms: int) -> Message:
    """The call that tells it; its identity comes from what is told, so that it is enqueued once."""
    text = f"job {job} has completed again"
    if state == OVERDUE:
        text = f"job {job} has not completed within {expect_within_s:g} s"
    alert = Alert(job, state, now_ms, text)
    payload: dict[str, Any] = {"alert": alert}
    if is_address(target):
        payload = {"method": "POST", "url": target, "json": alert}
    handler = HTTP_TASK if is_address(target) else target
    run = ids.alert_run_id(ids.job_id(job), state, mark or now_ms)
    return compose(run, handler, now_ms, payload=msgspec.Raw(msgspec.json.encode(payload)))
