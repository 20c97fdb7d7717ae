"""Retry a run that ended without success: a new run does its work, and each names the other."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobistemer.core.runs.message import Message, encode_message
from jobistemer.store.calls.runs import MAX_UNIQUE_MS
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script


def retry_ended(
    keys: Keys, message: Message, run_id: str, now_ms: int, dropped_steps: Sequence[str] = ()
) -> ScriptCall:
    """Build the call that gives the work of an ended run to a new run, whose id the caller has chosen.

    The new run has the steps on record, without `dropped_steps`, which it does again.
    """
    again = build_retry(message, run_id, now_ms)
    where = place(again.queue, again.priority)
    unique = (keys.unique(again.unique),) if again.unique else ()
    steps = (keys.steps(message.run), keys.steps(run_id))
    return script("retry_ended")(
        (
            keys.run(message.run),
            keys.dead,
            keys.run(run_id),
            keys.stream(where),
            keys.streams,
            keys.closed,
            *steps,
            *unique,
        ),
        (message.run, run_id, again.handler, encode_message(again), where, MAX_UNIQUE_MS, *dropped_steps),
    )


def build_retry(message: Message, run_id: str, now_ms: int) -> Message:
    """Return the message of the new run.

    It belongs to no occurrence and no group: those have ended. Its time to expire is over, so it has none.
    """
    origin = {"retry_of": message.run}
    if message.task_ref is not None:
        origin |= {"job": message.task_ref.job, "occurrence": message.task_ref.occurrence}
    return msgspec.structs.replace(
        message,
        run=run_id,
        enqueued_at=now_ms,
        task_ref=None,
        member=None,
        expires_at=0,
        suspended=0,
        undoing=None,
        snoozes=0,
        metadata={**message.metadata, **origin},
    )
