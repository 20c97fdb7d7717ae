"""Deterministic identities: any node computes the same id from the same context.

A duplicate create that Redis refuses is therefore the normal case, not an error.
The three namespaces are fixed for ever: changing one would fork the history.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha1
from uuid import UUID

OCCURRENCE_NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
RUN_NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
GATHER_NAME = "jobistemer.gather"
"""The handler of the reducer of a group that was given none; every worker knows it."""
ATTEMPT_NAMESPACE = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")


_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def _uuid5(namespace: UUID, name: str) -> str:
    """UUID version 5 (RFC 9562) as text: what `uuid.uuid5` gives in a third of the time, once for each attempt."""
    digits = sha1(namespace.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


@lru_cache(maxsize=100_000)
def job_id(name: str) -> str:
    """The identity of the job called `name`."""
    return "job_" + sha1(f"job:{name}".encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=100_000)
def task_id(job: str, name: str) -> str:
    """The identity of task `name` of the job with id `job`."""
    return "task_" + sha1(f"task:{job}:{name}".encode(), usedforsecurity=False).hexdigest()


def occurrence_id(job: str, due: int) -> str:
    """The identity of the due instant `due` (Unix seconds) of a job."""
    return f"occ_{_uuid5(OCCURRENCE_NAMESPACE, f'{job}:{due}')}"


def repeated_id(job: str, due: int, mark: str) -> str:
    """The identity of an occurrence that stands for an instant once more; `mark` tells it from other repetitions."""
    return f"occ_{_uuid5(OCCURRENCE_NAMESPACE, f'{job}:{due}:{mark}')}"


def run_id(occurrence: str, task: str) -> str:
    """The identity of one task of one occurrence."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{occurrence}:{task}')}"


def attempt_id(run: str, number: int) -> str:
    """The identity of try `number` (from 0) of a run."""
    return f"attempt_{_uuid5(ATTEMPT_NAMESPACE, f'{run}:{number}')}"


def child_run_id(group: str, index: int) -> str:
    """The identity of run `index` of a group."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{group}:{index}')}"


def reducer_run_id(parent: str, number: int = 0) -> str:
    """The identity of the run that receives what children of `parent` return; their group is called like it.

    number: which of the groups that the parent has mapped, in the order of the calls.
    """
    return f"run_{_uuid5(RUN_NAMESPACE, f'{parent}:reduce:{number}' if number else f'{parent}:reduce')}"


def join_run_id(parent: str) -> str:
    """The identity of the run that waits for the reducers of a run that has mapped more than once."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{parent}:join')}"


def letter_run_id(dead: str) -> str:
    """The identity of the run that is told of the death of another."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{dead}:letter')}"


def alert_run_id(job: str, state: str, mark: int) -> str:
    """The identity of the run that tells an alert about a job; `mark` tells it from earlier ones."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{job}:{state}:{mark}')}"


def completion_run_id(occurrence: str) -> str:
    """The identity of the run of a job's on_complete."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{occurrence}:complete')}"


def enqueued_at(run: str) -> int:
    """The Unix milliseconds in a time-ordered run id; what else it may hold is no time."""
    return int(run.removeprefix("run_").replace("-", "")[:12], 16)
