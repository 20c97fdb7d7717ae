"""Instants that fire in the plainest way: made ready before they are due, and claimed a hundred in one call.

What one of them needs is known ahead: its ids, its message, its keys. So the instant itself costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.plan import Decision, build_runs, start_delay_ms
from jobistemer.core.runs.message import encode_message
from jobistemer.core.states import OccurrenceState
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script

MAX_CLAIMS_PER_CALL = 50
"""How many one call claims. The script takes a hundred; the server begins the sooner, the smaller the first call is."""


class OccurrenceClaim(NamedTuple):
    """An instant that is to fire, as it is sent; those of one place and reason go together."""

    place: str
    reason: str
    keys: tuple[str, ...]
    args: tuple[Any, ...]


def prepare_claim(keys: Keys, job: Job, version: int, decision: Decision) -> OccurrenceClaim | None:
    """What claims an instant of a job; None for one that only `occurrences.claim` can claim."""
    occurrence = ids.occurrence_id(job.id, decision.instant)
    if not _is_plain(job, decision) or start_delay_ms(job, occurrence):
        return None
    # The message carries the instant instead of the time of the claim, which nobody knows yet.
    ((_, message),) = build_runs(job, version, decision.instant, decision.instant * 1000)
    return OccurrenceClaim(
        place(message.queue, message.priority),
        decision.reason,
        (
            *(keys.job(job.id), keys.occurrence(occurrence), keys.history(job.id), keys.live(job.id)),
            *(keys.queued(job.id), keys.run(message.run)),
        ),
        (
            *(job.id, occurrence, version, decision.expected, decision.instant, decision.look_at_ms),
            *(job.overlap.value, message.handler, encode_message(message)),
        ),
    )


def split_bundles(claims: Iterable[OccurrenceClaim]) -> Iterator[list[int]]:
    """The positions of firings that one call can claim together."""
    together: dict[tuple[str, str], list[int]] = {}
    for position, claim in enumerate(claims):
        bundle = together.setdefault(claim[:2], [])
        bundle.append(position)
        if len(bundle) == MAX_CLAIMS_PER_CALL:
            yield together.pop(claim[:2])
    yield from together.values()


def claim_occurrences(keys: Keys, claims: Sequence[OccurrenceClaim], now_ms: int) -> ScriptCall:
    """Claim instants of one place and reason, each of another job."""
    where, reason = claims[0][:2]
    touched = [keys.due, keys.streams, keys.stream(where)]
    args: list[Any] = [where, now_ms, reason]
    for claim in claims:
        touched += claim.keys
        args += claim.args
    return script("claim_occurrences")(tuple(touched), tuple(args))


def _is_plain(job: Job, decision: Decision) -> bool:
    alone = len(job.tasks) == 1 and job.occurrence_timeout_s is None and job.overlap is not Overlap.REPLACE
    return alone and decision.state is OccurrenceState.PENDING and decision.since is None
