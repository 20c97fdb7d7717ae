"""The environment of the templates, with filters for times, durations and states. All text of users is escaped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.safe_text import escape_text, hide_named, hide_secrets
from jobistemer.core.text import TONES, first_line, format_distance, format_duration
from jobistemer.store.keys import FRONT
from jobistemer.store.reads.records import NEVER_RAN

MAX_TEXT_LENGTH: Final = 20_000
"""The characters of an error, a payload or a result that are shown; the command line shows all of them."""
MAX_VALUE_LENGTH: Final = 300
"""The characters of a changed value between two versions that are shown."""
MAX_PAYLOAD_LENGTH: Final = 120
"""The bytes of a payload that are shown in a list."""


_MENTIONED: Final = re.compile(r"(?:(the one of [0-9: -]{19}) \()?(occ_[0-9a-f-]{36})\)?")
_FORMS: Final = {
    **dict.fromkeys(("failed", "failed_stale", "timed_out", "lost", "dead"), "full"),
    **dict.fromkeys(("completed", "succeeded"), "most"),
    **dict.fromkeys(("running", "pending"), "striped"),
    **dict.fromkeys(("missed", "queued"), "hollow"),
}
"""Failed reaches highest, completed less, skipped least; missed is hollow, running is striped."""


_POLICIES: Final = {
    "skip": "An instant is skipped while an earlier occurrence goes on",
    "queue": "An occurrence waits until the earlier one has ended",
    "allow": "Occurrences may go on at the same time",
    "replace": "An earlier occurrence is canceled, and the new one follows it",
    "execute_all": "Every instant that was missed is executed",
    "execute_last": "Of the instants that were missed only the last one is executed",
    "mark_as_missed": "Instants that were missed are recorded as missed",
    "bounded_window": "Only the latest of the instants that were missed are executed",
    "compressed": "One occurrence stands for all instants that were missed",
    "fail_fast": "A failed task cancels all others that go on, and those that wait are skipped",
    "continue": "Only the tasks after a failed one are skipped",
    "retry_on_failure": "After a failed task no other is started; those released before go on, with their retries",
}
"""What the policies of a job mean, in a sentence."""


def format_instant(ms: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Format an instant in UTC. Returns a dash for none."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):{form}}" if ms else "–"


def render_instant(ms: float | None, now_ms: int) -> Markup:
    """Render an instant: the time of day, the distance from now, and the full date as a tooltip."""
    if not ms:
        return Markup('<span class="none">–</span>')
    moment, now = (datetime.fromtimestamp(each / 1000, UTC) for each in (ms, now_ms))
    text = f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%d %b %H:%M}"
    return Markup('<time datetime="{}" title="{} UTC">{} <small>{}</small></time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%A %Y-%m-%d %H:%M:%S}", text, describe_distance(ms, now_ms)
    )


def render_distance(ms: float, now_ms: float) -> Markup:
    """Render how far an instant is from now, without the instant."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return Markup('<time datetime="{}"><small>{}</small></time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", describe_distance(ms, now_ms)
    )


def describe_distance(ms: float, now_ms: float) -> str:
    """Describe how far an instant is; within a second it is now, for a page is older than that when it is read."""
    return "now" if abs(ms - now_ms) < 1_000 else format_distance(ms, now_ms)


def render_state(word: str, tone: str = "") -> Markup:
    """Render a state in its colour. tone: the family of colours, by default that of the state."""
    return Markup('<span class="state {}">{}</span>').format(tone or tone_of(word), word.replace("_", " "))


def tone_of(word: str) -> str:
    """Return the family of colours of a state."""
    return TONES.get(word, "mute")


def quote_segment(text: str) -> str:
    """Quote a text as one segment of a path, slashes included."""
    return quote(text, safe="")


def clean_lines(text: str) -> str:
    """Make text of users fit to show: cut it to MAX_TEXT_LENGTH, and escape invisible characters."""
    cut = text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}\n… ({len(text)} characters)"
    return "\n".join(escape_text(line) for line in hide_secrets(cut).splitlines())


def format_json(raw: bytes) -> str:
    """Format JSON with indents. Returns a text that is no JSON as it is."""
    try:
        return clean_lines(msgspec.json.format(raw, indent=2).decode())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return clean_lines(raw.decode(errors="replace"))


def shorten_payload(raw: bytes | msgspec.Raw) -> str:
    """Return the beginning of a payload for a list."""
    return escape_text(bytes(memoryview(raw)[:MAX_PAYLOAD_LENGTH]).decode(errors="replace"))


def format_value(value: Any) -> str:
    """Format the value of a field of a definition on one line."""
    if value is None:
        return "–"
    return escape_text(value if isinstance(value, str) else msgspec.json.encode(value).decode())[:MAX_VALUE_LENGTH]


def shorten_id(identity: str) -> str:
    """Shorten an id to the part that differs between the ids of one page."""
    kind, _, rest = identity.partition("_")
    # The end, not the beginning: many ids begin with a time, which neighbours in a list share.
    return f"{kind}_…{rest[-8:]}" if len(rest) > 9 else identity


def plain_text(encoded: str) -> str:
    """Return the text in a JSON text without its quotes; other JSON as it is."""
    try:
        value = msgspec.json.decode(encoded) if encoded else ""
    except (ValueError, RecursionError):
        return encoded
    return value if isinstance(value, str) else encoded


def format_exact(seconds: float) -> str:
    """Format a duration of a setting as it was given, in seconds: "66 s"."""
    return f"{seconds:,.15g} s"


def link_occurrences(text: str, root: str) -> Markup:
    """Turn the ids of occurrences in a text into links; "the one of 07:05:30 (occ_…)" becomes its words."""
    # A Markup is shown as it is, so invisible characters are escaped here.
    escaped = str(escape(clean_lines(text)))
    found = _MENTIONED.sub(
        lambda match: f'<a href="{escape(root)}/occurrences/{match[2]}">{match[1] or match[2]}</a>', escaped
    )
    return Markup(found)  # noqa: S704 - escaped above; what is put in is an id of hexadecimal digits


def form_of(word: str) -> str:
    """Return the form in which a state is drawn, so that it is told without its colour."""
    return _FORMS.get(word, "low")


def describe_strip(history: Sequence[OccurrenceRecord]) -> str:
    """Describe the latest occurrences in one sentence: "24 latest: 3 failed, 21 completed"."""
    counts = Counter(each.state.replace("_", " ") for each in history)
    listed = sorted(counts.items(), key=lambda pair: (_FORMS.get(pair[0].replace(" ", "_")) != "full", pair[0]))
    return f"{len(history)} latest: " + ", ".join(f"{number} {word}" for word, number in listed)


def format_priority(text: str) -> str:
    """Format the priority of a place in words where it is that of runs which a limit has let in."""
    return "let in" if text == str(FRONT) else f"priority {text}"


def elapsed_ms(record: OccurrenceRecord, now_ms: int) -> int | None:
    """Return the milliseconds that an occurrence took, or has taken so far; None when it never ran."""
    if record.state in NEVER_RAN:
        return None
    return max(0, (record.ended_at or now_ms) - (record.started_at or record.claimed_at))


def _finalize(value: Any) -> Any:
    # Jinja calls this for every value of every template. A filter at each place would be forgotten at one of them.
    return clean_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


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
        "away": render_distance,
        "duration": format_duration,
        "state": render_state,
        "tone": tone_of,
        "segment": quote_segment,
        "elapsed_ms": elapsed_ms,
        "json": format_json,
        "bytes": bytes,
        "value": format_value,
        "payload": shorten_payload,
        "short": shorten_id,
        "line": first_line,
        "plain": plain_text,
        "named": hide_named,
        "priority": format_priority,
        "policy": lambda word: _POLICIES.get(word, ""),
        "form": form_of,
        "exact": format_exact,
        "link_occurrences": link_occurrences,
        "strip_text": describe_strip,
    }
    return environment


_ENVIRONMENT: Final = _build_environment()


def render_template(template: str, values: Mapping[str, Any]) -> str:
    """Render a template with values."""
    return _ENVIRONMENT.get_template(template).render(values)
