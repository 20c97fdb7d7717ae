"""What a form has sent, read without trusting how much it is."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

LONGEST = 64 * 1024
MOST_FIELDS = 500

Form = dict[str, list[str]]


async def read_form(request: Request) -> Form:
    """The fields of a form, each with its values."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            raise HTTPException(413, f"A form has {LONGEST} bytes at the most.")
    try:
        return parse_qs(body.decode(), max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(400, "What was sent is no form.") from error


def first(form: Form, name: str) -> str:
    """The first value of a field, empty when there is none."""
    return form.get(name, [""])[0].strip()


def local(place: str) -> str:
    """A path on this dashboard to go back to; the first page for anything else."""
    plain = place.startswith("/") and not place.startswith("//") and "\\" not in place and place.isprintable()
    return place if plain else "/"
