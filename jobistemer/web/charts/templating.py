"""Templates, and how times, lengths of time and states are written. Whatever comes from users is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.safe_text import escape_text
from jobistemer.core.text import TONES, first_line, format_distance, format_duration
from jobistemer.store.reads.records import NEVER_RAN

MAX_TEXT_LENGTH: Final = 20_000
"""So many characters of an error, a payload or a result are shown; the command line shows the rest."""
MAX_VALUE_LENGTH: Final = 300
"""So many characters of what differs between two versions are shown."""
MAX_PAYLOAD_LENGTH: Final = 120
"""So many bytes of a payload stand in a list."""


def format_instant(ms: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """An instant in UTC; a dash for none."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):{form}}" if ms else "–"


def render_instant(ms: float | None, now_ms: int) -> Markup:
    """An instant as people read it: how far off it is, with the time of the day, and the whole of it at hand."""
    if not ms:
        return Markup('<span class="none">–</span>')
    moment, now = (datetime.fromtimestamp(each / 1000, UTC) for each in (ms, now_ms))
    text = f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%d %b %H:%M}"
    return Markup('<time datetime="{}" title="{} UTC">{} <small>{}</small></time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%A %Y-%m-%d %H:%M:%S}", text, format_distance(ms, now_ms)
    )


def render_state(word: str, family: str = "") -> Markup:
    """A state with its colour."""
    return Markup('<span class="state {}">{}</span>').format(family or tone_of(word), word.replace("_", " "))


def tone_of(word: str) -> str:
    """The family of colour of a state."""
    return TONES.get(word, "mute")


def quote_segment(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


def clean_lines(text: str) -> str:
    """Several lines of anybody's text: nothing in it is invisible, and there is not too much of it."""
    cut = text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}\n… ({len(text)} characters)"
    return "\n".join(escape_text(line) for line in cut.splitlines())


def format_json(raw: bytes) -> str:
    """JSON with its indents; as it is when it is none."""
    try:
        return clean_lines(msgspec.json.format(raw, indent=2).decode())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return clean_lines(raw.decode(errors="replace"))


def format_value(found: Any) -> str:
    """What a field of a definition says, on one line."""
    if found is None:
        return "–"
    return escape_text(found if isinstance(found, str) else msgspec.json.encode(found).decode())[:MAX_VALUE_LENGTH]


def shorten_id(identity: str) -> str:
    """An id as far as it tells it from others on a page."""
    kind, _, rest = identity.partition("_")
    # Not the beginning, which is the time in many of them.
    return f"{kind}_…{rest[-8:]}" if len(rest) > 9 else identity


def elapsed_ms(record: OccurrenceRecord, now_ms: int) -> int | None:
    """How long (ms) an occurrence took, or has taken so far; None for one that never ran."""
    if record.state in NEVER_RAN:
        return None
    return max(0, (record.ended_at or now_ms) - (record.started_at or record.claimed_at))


def _finalize(found: Any) -> Any:
    # Whatever a template shows comes by here, so that nowhere it can be forgotten.
    return clean_lines(found) if isinstance(found, str) and not isinstance(found, Markup) else found


def _build_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("jobistemer.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "at": format_instant,
        "when": render_instant,
        "span": format_duration,
        "state": render_state,
        "tone": tone_of,
        "segment": quote_segment,
        "lasted": elapsed_ms,
        "pretty": format_json,
        "bytes": bytes,
        "value": format_value,
        "payload": lambda raw: escape_text(bytes(raw)[:MAX_PAYLOAD_LENGTH].decode(errors="replace")),
        "short": shorten_id,
        "line": first_line,
    }
    return environment


_ENVIRONMENT: Final = _build_environment()


def render_template(template: str, values: Mapping[str, Any]) -> str:
    """A page."""
    return _ENVIRONMENT.get_template(template).render(values)
