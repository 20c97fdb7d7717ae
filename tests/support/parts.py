"""The two parts of the tests: what `make test` runs in three minutes, and the rest, which CI runs too (`make test-rest`).

Both parts together are what `pytest` runs without JOBISTEMER_TEST_PART.
"""

from __future__ import annotations

import os
from typing import Any
from zlib import crc32

import pytest

from tests.support.servers import FAKE, VALKEY

FIRST, REST = "first", "rest"
PART = os.environ.get("JOBISTEMER_TEST_PART", "")
IN_BOTH = "tests/property/"
"""Where the rest runs each test again, with more examples."""
ONE_OF = 4
"""In the first part the fake server runs one of so many tests of the integration ring; Valkey runs all of them."""


def examples(full: int, share: int = 4) -> int:
    """Return how many examples a property test tries: in the first part one of `share`, and ten at least."""
    return min(full, max(full // share, 10)) if PART == FIRST else full


def choose(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Divide tests into those to run in this part and the others."""
    chosen: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        (chosen if _is_chosen(item) else others).append(item)
    return chosen, others


def _is_chosen(item: pytest.Item) -> bool:
    if _is_left_out(item):
        return False
    if PART == REST:
        return item.nodeid.startswith(IN_BOTH) or _is_for_the_rest(item)
    return PART != FIRST or not _is_for_the_rest(item)


def _is_left_out(item: pytest.Item) -> bool:
    """Whether a test marked `thinned(N)` runs in no part: all servers but Valkey run one of N of its numbers, each another."""
    marker, kind = item.get_closest_marker("thinned"), _server_of(item)
    if marker is None or kind in ("", VALKEY):
        return False
    return _number_of(item) % marker.args[0] != (0 if kind == FAKE else 1)


def _is_for_the_rest(item: pytest.Item) -> bool:
    """Whether `make test` leaves a test to the rest: slow ones, most thinned numbers, and most of the fake's repetitions."""
    if item.get_closest_marker("slow"):
        return True
    kind, marker = _server_of(item), item.get_closest_marker("thinned")
    if marker is not None and kind == VALKEY:
        return _number_of(item) % marker.args[0] != marker.args[0] - 1
    if marker is not None and kind == FAKE:
        return _number_of(item) % (marker.args[0] * ONE_OF) != 0
    repeated = kind == FAKE and item.nodeid.startswith("tests/integration/")
    return repeated and crc32(item.nodeid.encode()) % ONE_OF != 0


def _server_of(item: pytest.Item) -> str:
    return str(_params(item).get("server_url", ""))


def _number_of(item: pytest.Item) -> int:
    return int(_params(item).get("number", 1))


def _params(item: pytest.Item) -> dict[str, Any]:
    call = getattr(item, "callspec", None)
    return call.params if call else {}
