"""The dead letter of a run: the payload of the task that `on_dead` names."""

from __future__ import annotations

from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.runs.message import Message, compose_message
from jobistemer.core.runs.settle import Outcome


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that is out of attempts. attempts: how many it had. payload: its keyword arguments, as JSON has them."""

    run: str
    handler: str
    payload: dict[str, Any]
    attempts: int
    died_at: int
    error: str = ""
    queue: str = "default"
    job: str = ""
    occurrence: str = ""
    task: str = ""
    metadata: dict[str, str] = {}


def build_letter_message(message: Message, attempt: int, outcome: Outcome, now_ms: int) -> Message:
    """Build the call of the `on_dead` task of a run, in the queue of the run.

    The call has no `on_dead` of its own: a task that reports its own deaths would never come to an end.
    """
    task_ref = message.task_ref
    letter = DeadLetter(
        run=message.run,
        handler=message.handler,
        payload={},
        attempts=attempt + 1,
        died_at=now_ms,
        error=outcome.error,
        queue=message.queue,
        job=task_ref.job if task_ref else "",
        occurrence=task_ref.occurrence if task_ref else "",
        task=task_ref.task if task_ref else "",
        metadata=message.metadata,
    )
    # The payload goes on as it is written, without being read.
    written = {**msgspec.to_builtins(letter), "payload": message.payload}
    payload = msgspec.Raw(msgspec.json.encode({"letter": written}))
    letter_message = compose_message(
        ids.letter_run_id(message.run),
        message.on_dead,
        now_ms,
        payload=payload,
        queue=message.queue,
        priority=message.priority,
    )
    # Kept no longer than what it tells of.
    kept_ms = max(message.dead_retention_ms, message.retention_ms)
    return msgspec.structs.replace(letter_message, retention_ms=min(letter_message.retention_ms, kept_ms))
