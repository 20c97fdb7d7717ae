"""The call that registers up to a hundred new jobs: a deployment of a new app has thousands of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall, script

MAX_JOBS_PER_CALL = 100


class NewJob(NamedTuple):
    """A job of which the caller has seen no record.

    definition: its JSON. fingerprint: of the definition as it was declared. next_due: its first instant, in Unix
    seconds. expect_by_ms: when it has to have completed, 0 for never.
    """

    id: str
    definition: bytes
    fingerprint: str
    next_due: int
    expect_by_ms: int


def register_new(keys: Keys, new: Sequence[NewJob], now_ms: int, by: str, owner: str) -> ScriptCall:
    """Build the call that stores jobs whose instants up to now count as decided.

    by: the author, for the audit lists. owner: the app that declares the jobs. The reply lists the positions, from 1,
    of jobs that have any record: `jobs.register` is for these.
    """
    job_key, versions, history, audit = keys.job(""), keys.versions(""), keys.history(""), keys.audit("")
    touched: list[str] = [keys.due, keys.expected, keys.wake]
    args: list[Any] = [now_ms // 1000, now_ms, by, owner]
    for job_id, definition, fingerprint, next_due, expect_by_ms in new:
        touched += (job_key + job_id, versions + job_id, history + job_id, audit + job_id)
        args += (job_id, definition, fingerprint, next_due * 1000, expect_by_ms)
    return script("register_jobs")(tuple(touched), tuple(args))
