"""Times in the answers of commands: instants as RFC 3339, durations in milliseconds, absent ones as null.

Inside, times are whole numbers whose unit their docstrings say. A reader of JSON has no docstrings, so the unit is in
the value (an instant is a text) or in the name (`took_ms`). A definition of a job is shown as it was declared: its
options keep their names, such as `timeout_s`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS, _S = timedelta(milliseconds=1), timedelta(seconds=1)
# By the names of classes, so that a command imports only those that it uses. No two public classes share a name.
_INSTANTS: Final[Mapping[str, Mapping[str, timedelta]]] = {
    "AssumedRun": dict.fromkeys(("start", "end"), _S),
    "AttemptRecord": dict.fromkeys(("started_at", "ended_at"), _MS),
    "AuditFinding": {"due": _S},
    "AuditResult": dict.fromkeys(("after", "until"), _S),
    "Backfill": {"first": _S, "last": _S, "started_at": _MS},
    "BackfillPreview": {"to_run": _S},
    "BackfillProgress": {"position": _S, "ended_at": _MS},
    "DelayedRun": {"due_at": _MS},
    "FireTimeChanges": dict.fromkeys(("start", "until", "first_to_appear", "first_to_vanish"), _S),
    "Hold": {"until": _MS},
    "Change": {"at": _MS},
    "JobChange": {"at": _MS},
    "JobPlan": {"apply_at": _MS},
    "JobSummary": dict.fromkeys(("paused_until", "next_due"), _MS),
    "LogLine": {"at": _MS},
    "Message": dict.fromkeys(("enqueued_at", "expires_at"), _MS),
    "OccurrenceRecord": {"due": _S, **dict.fromkeys(("claimed_at", "started_at", "ended_at", "deadline"), _MS)},
    "QueueSnapshot": {"oldest_at": _MS},
    "QuestionView": dict.fromkeys(("asked_at", "due_at"), _MS),
    "Report": {"due": _S, "claimed_at": _MS, "ended_at": _MS},
    "RunRecord": dict.fromkeys(("enqueued_at", "ended_at", "due_at", "cancel"), _MS),
    "RunSummary": {"at": _MS},
    "Signal": {"at": _MS},
    "Simulation": dict.fromkeys(("start", "end", "peak_at", "busiest"), _S),
    "StepView": dict.fromkeys(("started_at", "ended_at", "due_at"), _MS),
    "StreamRun": {"enqueued_at": _MS},
    "TaskRef": dict.fromkeys(("due", "since"), _S),
    "TickerSummary": dict.fromkeys(("beat_at", "started_at"), _MS),
    "TopFailure": {"at": _MS},
    "TopSnapshot": {"at_ms": _MS, "next_due": _MS},
    "Version": {"after": _S, "until": _S, "registered_at": _MS, "over_at": _MS},
    "WorkerSummary": dict.fromkeys(("beat_at", "started_at"), _MS),
}
_RENAMED: Final = {
    ("TopSnapshot", "at_ms"): "at",
    ("RunRecord", "cancel"): "cancel_asked_at",
    ("Cost", "ms"): "took_ms",
}
_SECONDS: Final = {
    ("JobLoad", "duration_s"): "duration_ms",
    ("BenchReport", "took_s"): "took_ms",
    ("ClockChange", "before"): "offset_before_ms",
    ("ClockChange", "after"): "offset_after_ms",
}


def to_answer(value: Any) -> Any:
    """Turn a value into what its JSON shows: plain dicts, lists, texts and numbers; a Raw is JSON already."""
    if isinstance(value, msgspec.Struct):
        return _struct_answer(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Mapping):
        return {str(to_answer(key)): to_answer(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_answer(item) for item in value]
    return value


def format_instant(at: datetime) -> str:
    """Write an instant as RFC 3339 with its own offset, `Z` for UTC, and with milliseconds where there are some."""
    text = at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _struct_answer(value: msgspec.Struct) -> dict[str, Any]:
    kind, config = type(value).__name__, value.__struct_config__
    units = _INSTANTS.get(kind, {})
    answer: dict[str, Any] = {config.tag_field: config.tag} if config.tag_field and config.tag is not None else {}
    for field in msgspec.structs.fields(value):
        found = getattr(value, field.name)
        if config.omit_defaults and field.default is not msgspec.NODEFAULT and found == field.default:
            continue
        name = _RENAMED.get((kind, field.name), field.encode_name)
        if (kind, field.name) in _SECONDS:
            answer[_SECONDS[kind, field.name]] = round(found * 1000)
        elif field.name in units:
            answer[name] = _instants(found, units[field.name])
        else:
            answer[name] = to_answer(found)
    return answer


def _instants(found: Any, unit: timedelta) -> Any:
    if isinstance(found, tuple | list):
        return [_instants(each, unit) for each in found]
    # A zero stands for "none": nothing here happened in 1970.
    return format_instant(_EPOCH + found * unit) if found else None
