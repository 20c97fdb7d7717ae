"""The hook notifier: call hooks with how attempts ended, on a thread of its own: a slow hook must hold up no commit."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from jobistemer.core.handlers.hooks import AttemptEnded, Hooks
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import FinalState, NextAttempt, Suspension
from jobistemer.core.states import RunState
from jobistemer.runtime.hooks import call_hooks
from jobistemer.store.calls.ended_attempt import EndedAttempt

WAIT_S = 0.5
MAX_WAITING = 100_000
"""Hooks that cannot keep up lose the ends that come on top of this; the records are complete all the same."""

log = logging.getLogger("jobistemer.hooks")


class HookNotifier:
    """The queue between the threads that record ends and the one that calls the hooks of the app."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._waiting: SimpleQueue[EndedAttempt | Message | None] = SimpleQueue()
        self._dropped = 0

    def notify(self, what: EndedAttempt | Message) -> None:
        """Queue the end of an attempt for the hooks, or a run that was created with it; never waits."""
        # A full queue drops: a hook that hangs must cost memory without end as little as it may cost commits.
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(what)
        else:
            self._dropped += 1

    def step(self) -> None:
        """Wait for an end or a run, and call the hooks for it."""
        with suppress(Empty):
            self._notify_hooks(self._waiting.get(timeout=WAIT_S))
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            log.warning("hooks are too slow: they were not called for %d ends", lost)

    def flush(self, deadline: float) -> None:
        """Call the hooks for what is left, until `deadline` (monotonic seconds)."""
        while time.monotonic() < deadline and not self._waiting.empty():
            self._notify_hooks(self._waiting.get())
        # The thread that waits for more need not wait any longer.
        self._waiting.put(None)

    def _notify_hooks(self, what: EndedAttempt | Message | None) -> None:
        hooks = self._hooks
        if what is None:
            return
        if isinstance(what, Message):
            call_hooks(hooks.enqueued, what)
            return
        value = build_attempt_ended(what)
        call_hooks(hooks.ended, value)
        if isinstance(what.ending, NextAttempt):
            call_hooks(hooks.retried, value)
        elif isinstance(what.ending, FinalState) and what.ending.spent:
            call_hooks(hooks.died, value)


def build_attempt_ended(ended: EndedAttempt) -> AttemptEnded:
    """Build the value that hooks are called with."""
    delivery, message, ending = ended.delivery, ended.delivery.message, ended.ending
    later = ending.delay_ms if isinstance(ending, NextAttempt) else None
    waits = RunState.SCHEDULED if later else RunState.PENDING
    if isinstance(ending, Suspension):
        waits = RunState.SCHEDULED if ending.is_snooze else RunState.SUSPENDED
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
