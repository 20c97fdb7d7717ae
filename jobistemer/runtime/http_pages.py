"""Pages of the HTTP endpoint as values. The endpoint itself is imported by processes that serve one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

LOOPBACK: Final = "127.0.0.1"
TEXT: Final = "text/plain; charset=utf-8"


class Response(NamedTuple):
    """The answer of a page."""

    status: int
    body: bytes
    content_type: str = TEXT


Page = Callable[[], Response]


def health_response(reasons: list[str]) -> Response:
    """Return 200 when there are no reasons against it, else 503 with one reason in each line."""
    if not reasons:
        return Response(200, b"ok\n")
    return Response(503, "".join(f"{reason}\n" for reason in reasons).encode("utf-8", "backslashreplace"))
