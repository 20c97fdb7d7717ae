"""Checks of a definition that is to be registered: every ticker and worker can read it, and its texts are bounded.

They are made where a job is declared, and once more where it is written, whoever calls. A definition that is stored
already is not held to the bounds: an earlier release may have allowed more.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final, NamedTuple

import msgspec

from jobistemer.core.checks import check_text, show
from jobistemer.core.errors import InvalidDefinition, InvalidInput
from jobistemer.core.jobs.job import Job, Task, decode_job, encode_job
from jobistemer.core.payload_json import ENCODING_ERRORS, check_json_depth, read_object

LONGEST_DESCRIPTION: Final = 2_000
LONGEST_ALERT: Final = 2_000


class DeclaredJob(NamedTuple):
    """A declared definition with its id, its JSON and the fingerprint of that. It may be stored already."""

    job: Job
    id: str
    encoded: bytes
    fingerprint: str


def encode_declared(job: Job) -> DeclaredJob:
    """Encode a declared definition, without the checks of one that is to be stored.

    Raises InvalidDefinition or InvalidPayload for one that cannot be encoded.
    """
    try:
        encoded = encode_job(job) if type(job) is Job else encode_new_job(job)
    except ENCODING_ERRORS:
        # It tells what is wrong.
        encoded = encode_new_job(job)
    return DeclaredJob(job, job.id, encoded, sha1(encoded, usedforsecurity=False).hexdigest()[:16])


def encode_new_job(job: Job, encoded: bytes = b"") -> bytes:
    """Return the JSON of a definition that is to be stored. Raises InvalidDefinition or InvalidPayload.

    encoded: that JSON where `encode_declared` has made it; then it is checked only.
    """
    if not isinstance(job, Job):
        raise InvalidDefinition(f"a definition is {show(job)}, allowed is Job(…), such as app.jobs() returns")
    # Most jobs have neither, and a deployment comes here for each job that is new.
    if job.description != "" or job.alert != "":
        check_text(f"job {job.name!r}: description", job.description, LONGEST_DESCRIPTION, InvalidDefinition)
        check_text(f"job {job.name!r}: alert", job.alert, LONGEST_ALERT, InvalidDefinition)
    for task in (*job.tasks, *((job.on_complete,) if job.on_complete else ())):
        payload = bytes(task.payload)
        read_object(task.handler, payload)
        check_json_depth(task.handler, payload)
    try:
        encoded = encoded or encode_job(job)
        # A Struct that is made in Python does not look at all of its fields; the decoder of the readers does.
        _check_readable(job, encoded)
    except InvalidInput:
        raise
    except ENCODING_ERRORS as error:
        raise InvalidDefinition(f"job {job.name!r} cannot be written so that tickers read it: {error}") from None
    return encoded


class _TaskFields(Task, frozen=True):
    """A task that makes no checks of itself."""

    def __post_init__(self) -> None:
        """Do nothing: these checks were made when the task was made."""


class _JobFields(Job, frozen=True, kw_only=True):
    """A job that makes no checks of itself, which are two thirds of what decoding it costs."""

    tasks: tuple[_TaskFields, ...]
    on_complete: _TaskFields | None = None

    def __post_init__(self) -> None:
        """Do nothing: these checks were made when the job was made."""


_decoder: Final = msgspec.json.Decoder(_JobFields)


def _check_readable(job: Job, encoded: bytes) -> None:
    """Decode a definition as its readers do. Raises what they would raise."""
    tasks = (*job.tasks, job.on_complete) if job.on_complete else job.tasks
    # A subclass may have left out the checks that a job and a task make of themselves.
    if type(job) is Job and {*map(type, tasks)} == _ONLY_TASKS:
        _decoder.decode(encoded)
    else:
        decode_job(encoded)


_ONLY_TASKS: Final = {Task}
