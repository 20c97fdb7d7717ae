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
from jobistemer.store.calls import limits, runs
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database

BATCH = 200


def hand_back(
    database: Database, deliveries: Sequence[Delivery], worker: str, delay_ms: int = 0, note: str = ""
) -> None:
    """Give entries back; their attempts do not count.

    Raises NotConnected or ServerRefused: repeat the same call, it does not touch entries that were given back.
    """
    if not deliveries:
        return
    refused: JobistemerError | None = None
    now_ms = database.clock.now_ms()
    canceled: list[EndedAttempt] = []
    for start in range(0, len(deliveries), BATCH):
        part = deliveries[start : start + BATCH]
        calls = [runs.hand_back(database.keys, each, now_ms, delay_ms, note) for each in part]
        for delivery, reply in zip(part, database.call_all(calls), strict=True):
            if isinstance(reply, JobistemerError):
                refused = reply
            elif reply.word == "CANCELED":
                outcome = Outcome(AttemptState.CANCELED, error="canceled before it began")
                canceled.append(EndedAttempt(delivery, outcome, CANCELED, worker, 0, now_ms))
    cancel.end_as_canceled(database, canceled)
    limits.release_deliveries(database, deliveries)
    if refused is not None:
        raise refused
