"""Give back entries that were fetched and not started: to their stream or the delayed set.

A run that was cancelled meanwhile is ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core.errors import JobistemerError
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import CANCELED, Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import groups, jobs, limits, runs
from jobistemer.store.calls.runs import EndedAttempt
from jobistemer.store.database import Database

BATCH = 200


def hand_back(
    database: Database, deliveries: Sequence[Delivery], worker: str, delay_ms: int = 0, note: str = ""
) -> None:
    """Give entries back; their attempts do not count.

    Raises NotConnected or ServerRefused: repeat the same call, it does not touch entries that were given back.
    """
    refused: JobistemerError | None = None
    now_ms = database.clock.now_ms()
    for start in range(0, len(deliveries), BATCH):
        part = deliveries[start : start + BATCH]
        calls = [runs.hand_back(database.keys, each, now_ms, delay_ms, note) for each in part]
        for delivery, reply in zip(part, database.call_all(calls), strict=True):
            if isinstance(reply, JobistemerError):
                refused = reply
            elif reply.word == "CANCELED":
                outcome = Outcome(AttemptState.CANCELED, error="canceled before it began")
                end_canceled(database, EndedAttempt(delivery, outcome, worker, 0, now_ms))
    limits.release_deliveries(database, deliveries)
    if refused is not None:
        raise refused


def end_canceled(database: Database, ended: EndedAttempt) -> str:
    """End a run that was to go on and has been cancelled meanwhile. Returns DONE or STALE."""
    run = ended.delivery.message.run
    ended = ended._replace(mapped=groups.count_groups(database, run))
    slot = ended.delivery.message.task_ref
    job = jobs.find_version(database, slot.job, slot.version) if slot else None
    word = database.call(runs.commit(database.keys, ended, CANCELED, job)).word
    cancel.cancel_children(database, run, ended.mapped)
    return word
