"""Deterministic ids: every process computes the same id from the same context.

A duplicate create that Redis refuses is therefore the normal case, not an error. The three namespaces are fixed for
ever: a changed namespace would give new ids to recorded history.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha1
from uuid import UUID

OCCURRENCE_NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8").bytes
RUN_NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8").bytes
ATTEMPT_NAMESPACE = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8").bytes
GATHER_NAME = "jobistemer.gather"
"""The handler of the default reducer, for groups that name no reducer; every worker has it."""

_REMEMBERED = 16_384
"""How many ids of jobs and of tasks are kept: 0.3 KB each, against a microsecond to compute one."""
_RUN_ID = re.compile(r"run_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def _uuid5(namespace: bytes, name: str) -> str:
    """Compute a UUID version 5 (RFC 9562) as text; namespace: the bytes of a UUID.

    It equals `uuid.uuid5` and takes a third of the time, which counts: one is computed for each attempt.
    """
    digits = sha1(namespace + name.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


@lru_cache(maxsize=_REMEMBERED)
def job_id(name: str) -> str:
    """Return the id of the job called `name`."""
    return "job_" + sha1(f"job:{name}".encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=_REMEMBERED)
def task_id(job: str, name: str) -> str:
    """Return the id of task `name` of the job with id `job`."""
    return "task_" + sha1(f"task:{job}:{name}".encode(), usedforsecurity=False).hexdigest()


def is_run_id(text: str) -> bool:
    """Return whether a text has the form of the id of a run."""
    return _RUN_ID.fullmatch(text) is not None


def occurrence_id(job: str, due: int) -> str:
    """Return the id of the due instant `due` (Unix seconds) of a job."""
    return f"occ_{_uuid5(OCCURRENCE_NAMESPACE, f'{job}:{due}')}"


def repeated_id(job: str, due: int, mark: str) -> str:
    """Return the id of a repetition of the instant `due`; `mark` tells it from other repetitions."""
    return f"occ_{_uuid5(OCCURRENCE_NAMESPACE, f'{job}:{due}:{mark}')}"


def run_id(occurrence: str, task: str) -> str:
    """Return the id of the run of one task of one occurrence."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{occurrence}:{task}')}"


def attempt_id(run: str, number: int) -> str:
    """Return the id of attempt `number` (from 0) of a run."""
    return f"attempt_{_uuid5(ATTEMPT_NAMESPACE, f'{run}:{number}')}"


def child_run_id(group: str, index: int) -> str:
    """Return the id of run `index` of a group."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{group}:{index}')}"


def reducer_run_id(parent: str, number: int = 0) -> str:
    """Return the id of the run that receives the results of the children of `parent`.

    The group of the children has the same id. number: which of the groups that the parent has mapped, in the order of
    the calls.
    """
    return f"run_{_uuid5(RUN_NAMESPACE, f'{parent}:reduce:{number}' if number else f'{parent}:reduce')}"


def join_run_id(parent: str) -> str:
    """Return the id of the run that waits for the reducers of a run that has mapped more than once."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{parent}:join')}"


def letter_run_id(dead: str) -> str:
    """Return the id of the `on_dead` run that reports the dead run `dead`."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{dead}:letter')}"


def alert_run_id(job: str, state: str, mark: int) -> str:
    """Return the id of the run that delivers an alert about a job; `mark` tells it from earlier alerts."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{job}:{state}:{mark}')}"


def completion_run_id(occurrence: str) -> str:
    """Return the id of the run of a job's `on_complete`."""
    return f"run_{_uuid5(RUN_NAMESPACE, f'{occurrence}:complete')}"


def read_enqueue_ms(run: str) -> int:
    """Read the Unix milliseconds in a time-ordered run id; of another UUID the number means nothing.

    Returns 0 for what is no UUID at all, such as an id in the message of another program.
    """
    try:
        return int(run.removeprefix("run_").replace("-", "")[:12], 16)
    except ValueError:
        return 0
