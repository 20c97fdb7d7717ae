"""The order in which a worker reads its queues: strictly as listed, or by weight; each by priority."""

from __future__ import annotations

import random
from collections.abc import Mapping

from jobistemer.store.keys import places_of


class QueueOrder:
    """The places of a worker's queues in reading order.

    All priorities of a queue are read from the first moment on, also those that no run has used yet: so the first
    run of a new priority is served as promptly as the millionth. `paused` and `on_hold` are replaced by the beat.
    """

    def __init__(self, weights: Mapping[str, int], rng: random.Random | None = None) -> None:
        self._weights = dict(weights)
        self._places = {queue: places_of(queue) for queue in weights}
        self._all = [each for places in self._places.values() for each in places]
        self._strict = not any(weights.values())
        self._random = rng or random.Random()
        # As the last beat said. Replaced whole by another thread, never changed: a reader sees one or the other.
        self.paused: set[str] = set()
        self.on_hold: frozenset[str] = frozenset()

    def all_places(self) -> list[str]:
        """Return all places of these queues, paused ones included."""
        return list(self._all)

    def places(self) -> list[str]:
        """Return the places in reading order: queues as listed, or shuffled by weight; the highest priority first."""
        if self._strict and not self.paused:
            return self._all
        return [each for queue in self._queues() if queue not in self.paused for each in self._places[queue]]

    def _queues(self) -> list[str]:
        if self._strict:
            return list(self._weights)
        # A weighted shuffle (Efraimidis and Spirakis): each queue comes first with the probability that its weight
        # gives it, and none is ever starved, as a strict order by weight would do.
        draw = self._random.random
        draws = {queue: draw() ** (1 / max(weight, 0.01)) for queue, weight in self._weights.items()}
        return sorted(draws, key=lambda queue: -draws[queue])
