"""Pages of a list: which one is asked for, and whether there is another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from starlette.requests import Request

MAX_PAGE = 1_000
"""How many pages can be asked for; a server walks a list to its offset, so there has to be an end."""

T = TypeVar("T")


class ListPage(NamedTuple, Generic[T]):
    """One page; previous and next are numbers of pages, 0 for none."""

    rows: Sequence[T]
    number: int
    previous: int
    next: int


def read_page(request: Request, size: int, read: Callable[[int, int], Sequence[T]]) -> ListPage[T]:
    """The page that a request asks for; `read` takes an offset and a limit."""
    number = parse_number(request.query_params.get("page"), 1, MAX_PAGE)
    found = read((number - 1) * size, size + 1)
    following = number + 1 if len(found) > size and number < MAX_PAGE else 0
    return ListPage(found[:size], number, number - 1, following)


def parse_number(text: Any, low: int, high: int) -> int:
    """A whole number from a query; what is none, or out of range, is the nearest that can be."""
    return min(max(int(text), low), high) if text is not None and text.isascii() and text.isdecimal() else low
