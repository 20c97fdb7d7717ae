"""Read what the server answers: members and scores, each by itself, so that an odd one concerns nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobistemer.core.unreadable import READ_ERRORS, Unreadable, explain, to_ms

Text = Callable[[bytes], str]


def read_scored(
    key: str, flat: Sequence[bytes], bad: list[Unreadable], text: Text = bytes.decode
) -> list[tuple[str, int]]:
    """Decode members and scores that follow in turn; an infinite score is the first or the last instant there is.

    text: decodes a member, and raises ValueError for one that is not in order. bad: gets those that cannot be read.
    """
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    try:
        return [(text(member), to_ms(score)) for member, score in pairs]
    except READ_ERRORS:
        return [read for member, score in pairs if (read := _read_pair(key, member, score, bad, text)) is not None]


def read_members(key: str, members: Sequence[bytes], bad: list[Unreadable], text: Text = bytes.decode) -> list[str]:
    """Decode the members of a set. text, bad: see `read_scored`."""
    try:
        return [text(member) for member in members]
    except READ_ERRORS:
        found = (_read_pair(key, member, b"", bad, text) for member in members)
        return [read[0] for read in found if read is not None]


def read_number(raw: bytes | None, default: int = 0) -> int:
    """Return a number as the server stores it; the default for one that is missing or is no number."""
    try:
        return default if raw is None else int(raw)
    except ValueError:
        return default


def _read_pair(key: str, member: bytes, score: bytes, bad: list[Unreadable], text: Text) -> tuple[str, int] | None:
    try:
        return text(member), to_ms(score) if score else 0
    except READ_ERRORS as error:
        bad.append(Unreadable(key, explain(error), member, score))
        return None
