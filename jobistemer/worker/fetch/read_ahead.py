"""Read the steps on record of attempts together, when they are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.store.calls.durable.steps import read_steps_of_runs
from jobistemer.worker.attempts.attempt import Attempt

MAX_RUNS = 100
"""The steps of so many attempts are read at a time."""
MAX_KEPT_BYTES = 64 * 1024
"""Records that are larger are not kept in memory until the attempt begins: a thousand attempts may wait for a slot."""


def read_steps_ahead(attempts: Sequence[Attempt]) -> None:
    """Read the steps of attempts of one shard that go on behind them, in one round trip.

    Nobody else writes them from here on: their entries are this worker's, and a worker that has lost its entries asks
    before it begins one. An attempt whose steps are not read here reads them when its handler asks for the first one.
    """
    chosen = attempts[:MAX_RUNS]
    with suppress(NotConnected, ServerRefused):
        found = read_steps_of_runs(chosen[0].database, [each.delivery.message.run for each in chosen])
        for attempt, records in zip(chosen, found, strict=True):
            if sum(map(len, records.values())) <= MAX_KEPT_BYTES:
                attempt.records = records
