"""Pagination of a list: the page that a request asks for, and the numbers of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from starlette.requests import Request

MAX_PAGE = 1_000
"""The highest number of a page. The server walks a list up to the offset, so a request must not choose it freely."""

T = TypeVar("T")


class ListPage(NamedTuple, Generic[T]):
    """One page of a list. previous, next: the numbers of the pages beside it, 0 for none."""

    rows: Sequence[T]
    number: int
    previous: int
    next: int


def read_page(request: Request, size: int, read: Callable[[int, int], Sequence[T]]) -> ListPage[T]:
    """Read the page that a request asks for. read: takes an offset and a limit, and returns the rows."""
    number = parse_number(request.query_params.get("page"), 1, MAX_PAGE)
    # One row more than a page has: it tells whether there is a next page, without a second question for the length.
    rows = read((number - 1) * size, size + 1)
    next_number = number + 1 if len(rows) > size and number < MAX_PAGE else 0
    return ListPage(rows[:size], number, number - 1, next_number)


def parse_number(text: Any, low: int, high: int) -> int:
    """Read a whole number of a query, moved into its range. Returns `low` for a text that is no number."""
    return min(max(int(text), low), high) if text is not None and text.isascii() and text.isdecimal() else low
