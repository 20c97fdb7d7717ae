"""A due instant of a job's history in words: what became of it, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import OccurrenceState

_OCCURRENCE = re.compile(r"occ_[0-9a-f-]{36}")
_ENDED_ITSELF = frozenset({OccurrenceState.COMPLETED, OccurrenceState.PENDING, OccurrenceState.RUNNING})


def explain_occurrence(record: OccurrenceRecord, due: Mapping[str, int]) -> str:
    """Explain the state of an occurrence.

    due: the due instants (Unix seconds), by id, of the occurrences that the text may mention.
    """
    parts = [record.reason]
    if record.error and record.state not in _ENDED_ITSELF:
        parts.append(record.error.partition("\n")[0])
    return _OCCURRENCE.sub(lambda match: _describe_occurrence(match[0], due), "; ".join(filter(None, parts)))


def find_mentioned(records: list[OccurrenceRecord]) -> set[str]:
    """Return the ids of occurrences that these records mention and that are not among them."""
    text = " ".join(f"{each.reason} {each.error}" for each in records)
    return set(_OCCURRENCE.findall(text)) - {each.id for each in records}


def _describe_occurrence(occurrence: str, due: Mapping[str, int]) -> str:
    if occurrence not in due:
        return occurrence
    return f"the one of {datetime.fromtimestamp(due[occurrence], UTC):%Y-%m-%d %H:%M:%S} ({occurrence})"
