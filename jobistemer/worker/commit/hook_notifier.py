"""The hook notifier: tells hooks how attempts ended, on a thread of its own, so that a slow hook holds up no commit."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from jobistemer.core.handlers.hooks import AttemptEnded, Hooks
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import FinalState, NextAttempt, Settlement
from jobistemer.core.states import RunState
from jobistemer.runtime.hooks import call_hooks
from jobistemer.store.calls.runs import EndedAttempt

WAIT_S = 0.5
MAX_WAITING = 100_000
"""Hooks that cannot keep up lose what comes on top of this; the records are complete all the same."""

log = logging.getLogger("jobistemer.hooks")


class HookNotifier:
    """One thread of a worker whose app has hooks for ends."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._waiting: SimpleQueue[tuple[EndedAttempt, Settlement] | Message | None] = SimpleQueue()
        self._dropped = 0

    def notify(self, what: tuple[EndedAttempt, Settlement] | Message) -> None:
        """Have hooks told of an attempt that has ended, or of a run that was created with it."""
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(what)
        else:
            self._dropped += 1

    def step(self) -> None:
        """Wait for something to tell, and tell it."""
        with suppress(Empty):
            self._notify_hooks(self._waiting.get(timeout=WAIT_S))
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            log.warning("hooks are too slow: %d ends were not told", lost)

    def flush(self, deadline: float) -> None:
        """Tell what is left, until `deadline` (monotonic seconds)."""
        while time.monotonic() < deadline and not self._waiting.empty():
            self._notify_hooks(self._waiting.get())
        # Who waits for something to tell need not wait any longer.
        self._waiting.put(None)

    def _notify_hooks(self, what: tuple[EndedAttempt, Settlement] | Message | None) -> None:
        hooks = self._hooks
        if what is None:
            return
        if isinstance(what, Message):
            call_hooks(hooks.enqueued, what)
            return
        ended, ending = what
        value = build_attempt_ended(ended, ending)
        call_hooks(hooks.ended, value)
        if isinstance(ending, NextAttempt):
            call_hooks(hooks.retried, value)
        elif ending.state is RunState.DEAD:
            call_hooks(hooks.died, value)


def build_attempt_ended(ended: EndedAttempt, ending: Settlement) -> AttemptEnded:
    """What hooks are told of an attempt."""
    delivery, message = ended.delivery, ended.delivery.message
    later = ending.delay_ms if isinstance(ending, NextAttempt) else None
    waits = RunState.SCHEDULED if later else RunState.PENDING
    return AttemptEnded(
        run=message.run,
        handler=message.handler,
        attempt=delivery.attempt,
        state=ended.outcome.state,
        run_state=ending.state if isinstance(ending, FinalState) else waits,
        worker=ended.worker,
        started_at=datetime.fromtimestamp(ended.started_at / 1000, UTC),
        ended_at=datetime.fromtimestamp(ended.ended_at / 1000, UTC),
        error=ended.outcome.error,
        retry_after_s=None if later is None else later / 1000,
        job=message.task_ref.job if message.task_ref else None,
        occurrence=message.task_ref.occurrence if message.task_ref else None,
        metadata=message.metadata,
    )
