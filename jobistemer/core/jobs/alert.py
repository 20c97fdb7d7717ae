"""The alert of a job: a message when the job has not completed for longer than `expect_within_s`."""

from __future__ import annotations

import msgspec

from jobistemer.core.checks import check_name, show
from jobistemer.core.errors import InvalidDefinition


class Alert(msgspec.Struct, frozen=True):
    """The content of an alert. state: `overdue` or `recovered`; at: Unix milliseconds."""

    job: str
    state: str
    at: int
    text: str


def check_alert(job: str, expect_within_s: float | None, alert: str) -> None:
    """Check that a job has both `expect_within_s` and `alert`, or neither, and that `alert` is a target.

    Raises InvalidDefinition, or InvalidName for a target that is neither an address nor the name of a task.
    """
    if (expect_within_s is None) != (not alert):
        raise InvalidDefinition(
            f"job {job!r}: expect_within_s is {show(expect_within_s)} and alert is {show(alert)}; they go together: "
            "say within how many seconds the job has to complete, and the address or task that is told if it does not",
        )
    if alert and not is_address(alert):
        check_name("alert task", alert)


def is_address(alert: str) -> bool:
    """Return whether the target of an alert is an address, and not the name of a task."""
    return alert.startswith(("http://", "https://"))
