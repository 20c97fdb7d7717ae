"""Give back entries, to a stream or the delayed set: those that were not started, and those that were interrupted.

A run that was cancelled meanwhile is ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from jobistemer.core.errors import JobistemerError
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import CANCELED, Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import limits, runs, unknown_tasks
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.returned_runs import MAX_RUNS_PER_CALL, Unstarted, return_runs
from jobistemer.store.database import Database
from jobistemer.store.scripts import ScriptCall

BATCH = 200

_CANCELED_WHEN: Final = {"fetched": "canceled before it began", "attempt": "canceled while its worker ended"}
"""What the attempt of a canceled run says, by the source that the run is taken from."""

BuildCall = Callable[[Delivery], ScriptCall]


def hand_back(
    database: Database, deliveries: Sequence[Delivery], worker: str, delay_ms: int = 0, note: str = ""
) -> None:
    """Give entries back that were not started; their attempts do not count.

    Raises NotConnected or ServerRefused: repeat the same call, it does not touch entries that were given back.
    """
    build = partial(runs.hand_back, database.keys, now=database.clock.now_ms(), delay_ms=delay_ms, note=note)
    _give_back(database, deliveries, worker, build, "fetched")


def interrupt(database: Database, deliveries: Sequence[Delivery], worker: str) -> None:
    """Give entries back whose handlers were stopped because their worker ends; neither an attempt nor a crash counts.

    Raises NotConnected or ServerRefused: repeat the same call, it does not touch entries that were given back.
    """
    build = partial(runs.interrupt_run, database.keys)
    _give_back(database, deliveries, worker, build, "attempt")


def put_off_unknown(database: Database, deliveries: Sequence[Delivery], worker: str, note: str) -> None:
    """Put entries off whose tasks their worker does not know, until one that does may be there.

    Raises NotConnected or ServerRefused: repeat the same call, it does not touch entries that were put off.
    """
    build = partial(unknown_tasks.put_off_unknown, database.keys, now_ms=database.clock.now_ms(), note=note)
    _give_back(database, deliveries, worker, build, "fetched")


def _give_back(database: Database, deliveries: Sequence[Delivery], worker: str, build: BuildCall, source: str) -> None:
    if not deliveries:
        return
    refused: JobistemerError | None = None
    now_ms = database.clock.now_ms()
    canceled: list[EndedAttempt] = []
    for start in range(0, len(deliveries), BATCH):
        part = deliveries[start : start + BATCH]
        for delivery, reply in zip(part, database.call_all([build(each) for each in part]), strict=True):
            if isinstance(reply, JobistemerError):
                refused = reply
            elif reply.word == "CANCELED":
                canceled.append(_end_canceled(delivery, worker, now_ms, source))
    cancel.end_as_canceled(database, canceled)
    limits.release_deliveries(database, deliveries)
    if refused is not None:
        raise refused


def return_unstarted(database: Database, unstarted: Sequence[Unstarted], worker: str) -> None:
    """Return entries to the front of their queues, in this order; their attempts do not count, their permits stay.

    Raises NotConnected or ServerRefused: repeat the same call, it does not touch entries that were given back.
    """
    for start in range(0, len(unstarted), MAX_RUNS_PER_CALL):
        part = unstarted[start : start + MAX_RUNS_PER_CALL]
        # One call after the other: a pipeline does not keep its order where the server does not know the script yet.
        reply = database.call(return_runs(database.keys, part))
        canceled = [part[position - 1] for position in reply.values]
        if canceled:
            now_ms = database.clock.now_ms()
            ended = [_end_canceled(each.delivery, worker, now_ms, "fetched") for each in canceled]
            cancel.end_as_canceled(database, ended)
            limits.release_deliveries(database, [each.delivery for each in canceled])


def _end_canceled(delivery: Delivery, worker: str, now_ms: int, source: str) -> EndedAttempt:
    outcome = Outcome(AttemptState.CANCELED, error=_CANCELED_WHEN[source])
    return EndedAttempt(delivery, outcome, CANCELED, worker, 0, now_ms, source)
