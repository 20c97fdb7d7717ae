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
from jobistemer.worker.commit.committer import Committer
from jobistemer.worker.commit.finished import FinishedQueue


class CommitterThreads:
    """The committers of a worker, each with a thread of its own."""

    def __init__(self, create: Callable[[FinishedQueue | None], Committer]) -> None:
        """create: makes one, by itself or for a queue that it helps with."""
        self._create = create
        self._by_shard: dict[Database, Committer] = {}
        self._all: list[Committer] = []

    def open(self, shards: Iterable[Database]) -> None:
        """Have two for each shard."""
        self._by_shard = {shard: self._create(None) for shard in shards}
        self._all = list(self._by_shard.values())
        self._all += [self._create(each.finished) for each in self._by_shard.values()]

    def report(self, attempt: Attempt) -> None:
        """Hand over an attempt that has ended; called by slots."""
        self._by_shard[attempt.database].finished.put(attempt)

    def steps(self) -> list[Callable[[], None]]:
        """What each of them has to repeat."""
        return [each.step for each in self._all]

    def end(self) -> None:
        """Wait for nothing more: there will be none."""
        for each in self._all:
            each.finished.end()

    @property
    def done(self) -> int:
        """How many attempts they have recorded so far."""
        counts = self.counts
        return sum(counts[state] for state in AttemptState)

    @property
    def counts(self) -> Counter[str]:
        """What they have recorded so far."""
        return sum((each.counts for each in self._all), Counter[str]())
