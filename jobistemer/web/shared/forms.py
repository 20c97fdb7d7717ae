"""Reading the fields of a form, within limits for their size and number."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BYTES = 64 * 1024
MAX_FIELDS = 520

FormValues = dict[str, list[str]]


async def read_form(request: Request) -> FormValues:
    """Read the fields of a form, each with its values.

    Raises HTTPException 413 for more than MAX_BYTES, 400 for a body that is no form.
    """
    # Not `request.form()`: it reads a body of any size into memory, and needs python-multipart.
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"A form has {MAX_BYTES} bytes at the most.")
    try:
        return parse_qs(body.decode(), max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise HTTPException(400, "What was sent is no form.") from error


def first_value(form: FormValues, name: str) -> str:
    """Return the first value of a field, empty when there is none."""
    return form.get(name, [""])[0].strip()


def local_path(path: str, root: str = "") -> str:
    """Return a path of this dashboard as it is, and that of its first page for anything else.

    The path comes from the form, so it could lead to another site. root: the path under which the dashboard is.
    """
    # Browsers read `//host`, and a backslash for either slash, as the address of another host.
    is_local = path.startswith(f"{root}/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_local else f"{root}/"
