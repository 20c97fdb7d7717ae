"""The committing threads: two for each shard, so that no outcome waits for a node that another shard is on.

While one waits for the server's answer, the other makes the next part ready; else server and worker would take turns.
The second one sleeps until there is more than one send can take, so that light load costs what it costs with one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from jobistemer.core.states import AttemptState
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.commit.committer import Committer, FinishedQueue


class CommitterThreads:
    """The committers of a worker, each with a thread of its own."""

    def __init__(self, shards: Iterable[Database], create: Callable[[FinishedQueue | None], Committer]) -> None:
        """Make two committers for each shard. create: makes one, by itself or for a queue that it helps with."""
        first = {shard: create(None) for shard in shards}
        self._queues = {shard: each.finished for shard, each in first.items()}
        # Both take from one queue: whichever is free takes what has ended, and neither can fall behind alone.
        self._all = [*first.values(), *(create(queue) for queue in self._queues.values())]
        queues = list(self._queues.values())
        self.report: Callable[[Attempt], None] = queues[0].put if len(queues) == 1 else self._report
        """Hand over an attempt that has ended; called by slots. With one shard there is nothing to look up."""

    def _report(self, attempt: Attempt) -> None:
        # By shard: a node that hangs must hold up the outcomes of its own runs only.
        self._queues[attempt.database].put(attempt)

    def steps(self) -> list[Callable[[], None]]:
        """Return what each of the threads has to repeat."""
        return [each.step for each in self._all]

    def end(self) -> None:
        """Let the committers wait no more: no attempt will come."""
        # Once for each committer: a single None would wake one of the two that share a queue, and leave the other one
        # waiting for its half second.
        for each in self._all:
            each.finished.end()

    @property
    def done(self) -> int:
        """Return the number of attempts recorded so far."""
        counts = self.counts
        return sum(counts[state] for state in AttemptState)

    @property
    def counts(self) -> Counter[str]:
        """Return the attempts recorded so far, counted by state; `stale` counts those that others had ended."""
        return sum((each.counts for each in self._all), Counter[str]())
