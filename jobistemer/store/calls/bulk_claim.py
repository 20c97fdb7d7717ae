"""Claims of plain instants: built before the instants are due, and sent fifty in one call.

Everything that such a claim needs is known ahead: its ids, its message, its keys. So at the instant itself a ticker
sends bytes that lie ready, and the server spends half of what a claim of its own costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.plan import Decision, build_runs
from jobistemer.core.runs.message import encode_message
from jobistemer.core.schedules.delays import start_delay_ms
from jobistemer.core.states import OccurrenceState
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script

MAX_CLAIMS_PER_CALL = 50
"""How many instants one call claims. The script takes a hundred, but the server begins sooner with a smaller call."""

_Owner = TypeVar("_Owner")


class OccurrenceClaim(NamedTuple):
    """The claim of a plain instant, ready to be sent; claims of one place and reason go together."""

    place: str
    reason: str
    keys: tuple[str, ...]
    args: tuple[Any, ...]
    decision: Decision


def prepare_claim(keys: Keys, job: Job, version: int, decision: Decision) -> OccurrenceClaim | None:
    """Build the claim of an instant. Returns None when the instant is not plain: `occurrences.claim` is for that."""
    job_id = job.id
    occurrence = ids.occurrence_id(job_id, decision.instant)
    alone = len(job.tasks) == 1 and job.occurrence_timeout_s is None and job.overlap is not Overlap.REPLACE
    plain = alone and decision.state is OccurrenceState.PENDING and decision.since is None
    if not plain or start_delay_ms(job.schedule, occurrence, job_id):
        return None
    # The message carries the instant as the time of its enqueueing: the time of the claim is not known yet.
    ((_, message),) = build_runs(job, version, decision.instant, decision.instant * 1000, occurrence=occurrence)
    return OccurrenceClaim(
        place(message.queue, message.priority),
        decision.reason,
        (
            keys.job(job_id),
            keys.occurrence(occurrence),
            keys.history(job_id),
            keys.live(job_id),
            keys.queued(job_id),
            keys.run(message.run),
        ),
        (
            job_id,
            occurrence,
            version,
            decision.expected,
            decision.instant,
            decision.look_at_ms,
            job.overlap.value,
            message.handler,
            encode_message(message),
        ),
        decision,
    )


def split_bundles(
    claims: Iterable[tuple[_Owner, OccurrenceClaim]],
) -> Iterator[list[tuple[_Owner, OccurrenceClaim]]]:
    """Group claims, each with its owner, into bundles that one call can send."""
    bundles: dict[tuple[str, str], list[tuple[_Owner, OccurrenceClaim]]] = {}
    for owned in claims:
        shared = owned[1][:2]
        bundle = bundles.setdefault(shared, [])
        bundle.append(owned)
        if len(bundle) == MAX_CLAIMS_PER_CALL:
            yield bundles.pop(shared)
    yield from bundles.values()


def claim_occurrences(keys: Keys, claims: Sequence[OccurrenceClaim], now_ms: int) -> ScriptCall:
    """Claim the instants of one bundle: of one place and reason, each of another job."""
    where, reason = claims[0][:2]
    touched = [keys.due, keys.streams, keys.stream(where)]
    args: list[Any] = [where, now_ms, reason]
    for claim in claims:
        touched += claim.keys
        args += claim.args
    return script("claim_occurrences")(tuple(touched), tuple(args))
