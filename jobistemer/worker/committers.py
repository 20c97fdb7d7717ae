"""Committers: one for each shard, so that no outcome waits for a node that another shard is on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from jobistemer.core.states import AttemptState
from jobistemer.store.database import Database
from jobistemer.worker.commit import Committer
from jobistemer.worker.flight import Flight


class Committers:
    """The committers of a worker, each with a thread of its own."""

    def __init__(self, made: Callable[[], Committer]) -> None:
        self._made = made
        self._by_shard: dict[Database, Committer] = {}

    def open(self, shards: Iterable[Database]) -> None:
        """Have one for each shard."""
        self._by_shard = {shard: self._made() for shard in shards}

    def report(self, flight: Flight) -> None:
        """Hand over an attempt that has ended; called by slots."""
        self._by_shard[flight.database].report(flight)

    def steps(self) -> list[Callable[[], None]]:
        """What each of them has to repeat."""
        return [each.step for each in self._by_shard.values()]

    def end(self) -> None:
        """Wait for nothing more: there will be none."""
        for each in self._by_shard.values():
            each.end()

    @property
    def done(self) -> int:
        """How many attempts they have recorded so far."""
        counts = self.counts
        return sum(counts[state] for state in AttemptState)

    @property
    def counts(self) -> Counter[str]:
        """What they have recorded so far."""
        return sum((each.counts for each in self._by_shard.values()), Counter[str]())
