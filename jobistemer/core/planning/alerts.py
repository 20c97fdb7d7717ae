"""Alerts: one message when a job has not completed for longer than `expect_within_s`, and one when it has recovered."""

from __future__ import annotations

from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.builtin_tasks import HTTP_TASK
from jobistemer.core.jobs.alert import Alert, is_address
from jobistemer.core.runs.message import Message, compose_message

OVERDUE, RECOVERED = "overdue", "recovered"


def build_alert_message(job: str, target: str, state: str, expect_within_s: float, mark: int, now_ms: int) -> Message:
    """Build the message that delivers an alert to its target, a task or a web address.

    The run id follows from the alert, so that several tickers that raise the same alert enqueue it once.
    """
    text = f"job {job} has completed again"
    if state == OVERDUE:
        text = f"job {job} has not completed within {expect_within_s:g} s"
    alert = Alert(job, state, now_ms, text)
    payload: dict[str, Any] = {"alert": alert}
    if is_address(target):
        payload = {"method": "POST", "url": target, "json": alert}
    handler = HTTP_TASK if is_address(target) else target
    run = ids.alert_run_id(ids.job_id(job), state, mark or now_ms)
    return compose_message(run, handler, now_ms, payload=msgspec.Raw(msgspec.json.encode(payload)))
