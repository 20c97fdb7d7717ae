"""The versions of a job: one hash with six fields for each version.

The definition of the current version, which is the only version of most jobs, is in the record of the job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from jobistemer.core.jobs.job import decode_job
from jobistemer.core.jobs.versions import KEPT_VERSIONS, Version
from jobistemer.core.unreadable import Unreadable, read_value, to_text
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.reading import read_number

FIELDS_KEPT: Final = 6 * KEPT_VERSIONS
"""While the hash has no more fields than this, there are no more versions than are kept, and none is forgotten."""


def find_versions(database: Database, job_id: str) -> list[Version]:
    """Return the versions of a job that are kept, the earliest first; those of a removed job until they expire.

    A version that cannot be read is left out: it can neither be compared nor come back.
    """
    return find_versions_of(database, [job_id])[0]


def find_versions_of(database: Database, job_ids: Sequence[str]) -> list[list[Version]]:
    """Return the versions of several jobs, each as `find_versions` does, in one round trip."""
    return [[each for each in listed if isinstance(each, Version)] for listed in _list_versions_of(database, job_ids)]


def list_versions(database: Database, job_id: str) -> list[Version | Unreadable]:
    """Return the same with those that cannot be read, whose `member` is the number of the version."""
    return _list_versions_of(database, [job_id])[0]


def _list_versions_of(database: Database, job_ids: Sequence[str]) -> list[list[Version | Unreadable]]:
    keys, commands = database.keys, list[tuple[str, ...]]()
    for each in job_ids:
        # The job first: a version that is replaced between the two commands has then moved to the versions, and is
        # found.
        commands += (("HMGET", keys.job(each), "version", "definition"), ("HGETALL", keys.versions(each)))
    answers = database.read_all(commands)
    return [
        _read_versions(keys.versions(each), current, answer)
        for each, current, answer in zip(job_ids, answers[::2], answers[1::2], strict=True)
    ]


def _read_versions(key: str, record: Sequence[bytes], answer: dict[bytes, bytes]) -> list[Version | Unreadable]:
    current, definition = record
    fields = {to_text(field): value for field, value in answer.items()}
    if current is not None:
        fields.setdefault(to_text(current), definition)
    numbers = sorted((each for each in fields if each.isascii() and each.isdecimal()), key=int)
    found = [(number, read_value(key, _decode_version, int(number), fields)) for number in numbers]
    return [
        msgspec.structs.replace(read, member=number.encode()) if isinstance(read, Unreadable) else read
        for number, read in found
    ]


def find_pinned_versions(database: Database, job_id: str) -> set[int]:
    """Return the versions that occurrences of a job are pinned to which have not ended."""
    return set(find_live_versions(database, job_id).values())


def find_live_versions(database: Database, job_id: str) -> dict[str, int]:
    """Return the occurrences of a job that are going on or queued, each with the version that it is pinned to."""
    keys: Keys = database.keys
    found = [
        to_text(each)
        for answer in database.read_all(
            [("ZRANGE", keys.live(job_id), 0, -1), ("ZRANGE", keys.queued(job_id), 0, -1)],
        )
        for each in answer
    ]
    answers = database.read_all([("HGET", keys.occurrence(each), "version") for each in found]) if found else []
    return {each: read_number(answer) for each, answer in zip(found, answers, strict=True) if answer is not None}


def _decode_version(number: int, fields: dict[str, bytes]) -> Version:
    until, over_at = fields.get(f"{number}:until"), fields.get(f"{number}:over")
    return Version(
        number,
        decode_job(fields[str(number)]),
        fields[f"{number}:mark"].decode(),
        int(fields[f"{number}:after"]),
        int(fields[f"{number}:at"]),
        None if until is None else int(until),
        None if over_at is None else int(over_at),
    )
