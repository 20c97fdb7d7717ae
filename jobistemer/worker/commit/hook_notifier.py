"""The herald: tells hooks how attempts ended, on a thread of its own, so that a slow hook holds up no commit."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from jobistemer.core.handlers.hooks import AttemptEnded, Hooks
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import Ending, Later, Over
from jobistemer.core.states import RunState
from jobistemer.runtime.hooks import tell
from jobistemer.store.calls.runs import Ended

WAIT_S = 0.5
MOST_WAITING = 100_000
"""Hooks that cannot keep up lose what comes on top of this; the records are complete all the same."""

log = logging.getLogger("jobistemer.hooks")


class Herald:
    """One thread of a worker whose app has hooks for ends."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._waiting: SimpleQueue[tuple[Ended, Ending] | Message | None] = SimpleQueue()
        self._lost = 0

    def announce(self, what: tuple[Ended, Ending] | Message) -> None:
        """Have hooks told of an attempt that has ended, or of a run that was created with it."""
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put(what)
        else:
            self._lost += 1

    def step(self) -> None:
        """Wait for something to tell, and tell it."""
        with suppress(Empty):
            self._tell(self._waiting.get(timeout=WAIT_S))
        if self._lost:
            lost, self._lost = self._lost, 0
            log.warning("hooks are too slow: %d ends were not told", lost)

    def finish(self, deadline: float) -> None:
        """Tell what is left, until `deadline` (monotonic seconds)."""
        while time.monotonic() < deadline and not self._waiting.empty():
            self._tell(self._waiting.get())
        # Who waits for something to tell need not wait any longer.
        self._waiting.put(None)

    def _tell(self, what: tuple[Ended, Ending] | Message | None) -> None:
        hooks = self._hooks
        if what is None:
            return
        if isinstance(what, Message):
            tell(hooks.enqueued, what)
            return
        ended, ending = what
        value = attempt_ended(ended, ending)
        tell(hooks.ended, value)
        if isinstance(ending, Later):
            tell(hooks.retried, value)
        elif ending.state is RunState.DEAD:
            tell(hooks.died, value)


def attempt_ended(ended: Ended, ending: Ending) -> AttemptEnded:
    """What hooks are told of an attempt."""
    delivery, message = ended.delivery, ended.delivery.message
    later = ending.delay_ms if isinstance(ending, Later) else None
    waits = RunState.SCHEDULED if later else RunState.PENDING
    return AttemptEnded(
        run=message.run,
        handler=message.handler,
        attempt=delivery.attempt,
        state=ended.outcome.state,
        run_state=ending.state if isinstance(ending, Over) else waits,
        worker=ended.worker,
        started_at=datetime.fromtimestamp(ended.started_at / 1000, UTC),
        ended_at=datetime.fromtimestamp(ended.ended_at / 1000, UTC),
        error=ended.outcome.error,
        retry_after_s=None if later is None else later / 1000,
        job=message.slot.job if message.slot else None,
        occurrence=message.slot.occurrence if message.slot else None,
        metadata=message.metadata,
    )
