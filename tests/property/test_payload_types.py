"""What comes out equals what went in, or is refused where it goes in, for every type that the reference names."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from jobistemer.core.errors import InvalidDefinition, InvalidPayload
from tests.support.for_each import for_each
from tests.support.parts import examples
from tests.support.payload_types import (
    BERLIN,
    PLACES,
    ROWS,
    Colour,
    Key,
    Level,
    Line,
    Named,
    Point,
    Row,
    is_kept,
    outcome,
    send,
)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(), st.uuids(), st.dates(),
    st.times(timezones=st.sampled_from([None, UTC])), st.timedeltas(),
    st.datetimes(timezones=st.sampled_from([None, UTC, BERLIN, timezone(timedelta(hours=-3))])),
    st.sampled_from([Colour.RED, Level.LOW]), st.builds(Line, st.text(), st.decimals()), st.builds(Point, st.floats()),
    st.builds(Key, st.integers()), st.builds(Named, st.integers(), st.text()), st.builds(complex), st.builds(object),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.frozensets(st.integers(), max_size=3),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.uuids(), st.dates()), inner, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip
TYPES = [
    Any, int, float, str, bytes, Decimal, UUID, date, time, datetime, timedelta, Colour, Level, Line, Point, Key, Named,
    list[int], list[Any], tuple[int, str], frozenset[int], dict[str, Any], dict[int, str], dict[UUID, datetime], int | None,
    datetime | None, list[datetime], list[Line], float | None,
]  # fmt: skip
SAME_IN_JSON = (int, float, str, type(None), bool)


@for_each([(row, place) for row in ROWS for place in PLACES], lambda case: f"{case[0].words} as {case[1]}")
def test_what_is_refused_says_where_it_is_and_what_to_do(case):
    row, place = case
    try:
        send(row, place)
    except InvalidPayload as error:
        assert "$" in str(error) or "JSON" in str(error), str(error)
    except InvalidDefinition as error:
        assert "JSON" in str(error)


def test_all_four_words_of_the_table_occur_and_types_of_their_own_are_kept():
    words = Counter(outcome(row, place) for row in ROWS for place in PLACES)
    assert set(words) == {"kept", "read as it", "refused", "not declared"}
    assert len(ROWS) >= 80
    assert words["kept"] > 300


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(TYPES), VALUES, st.sampled_from(PLACES))
def test_a_value_comes_back_as_it_was_or_as_its_type_reads_it_or_is_refused(annotation, value, place):
    try:
        _, given_value, found = send(Row("", annotation, value), place)
    except (InvalidPayload, InvalidDefinition):
        return
    # Accepted: the very same, or the JSON form of what is annotated.
    assert is_kept(given_value, found) or is_json_form(
        given_value, found, open_type="Any" in place or annotation is Any
    )


def is_json_form(given_value: Any, found: Any, *, open_type: bool) -> bool:
    """Whether a value went in as JSON, and came out as what its annotation makes of that."""
    if is_kept(given_value, found):
        return True
    if (
        isinstance(given_value, int | float)
        and not isinstance(given_value, bool)
        and isinstance(found, float | Decimal | int)
    ):
        return given_value == found or float(found) == given_value
    if open_type:
        # Equal all the same, such as the number that an IntEnum is, and never less than that.
        return bool(given_value == found) or (
            isinstance(given_value, list | dict) and type(given_value) is type(found) and all(
                is_json_form(one, other, open_type=True) for one, other in zip(items(given_value), items(found), strict=True)
            )
        )  # fmt: skip
    if isinstance(given_value, str):
        return isinstance(found, str | bytes | Decimal | UUID | date | time | timedelta | Colour | Level)
    if isinstance(given_value, list | tuple | frozenset):
        return isinstance(found, list | tuple | frozenset | Point) and len(given_value) == len(items(found))
    if isinstance(given_value, dict):
        return not isinstance(found, SAME_IN_JSON)
    if hasattr(given_value, "value") and not hasattr(given_value, "name"):
        return type(given_value) is type(found) and is_json_form(given_value.value, found.value, open_type=open_type)
    return False


def items(value: Any) -> list[Any]:
    return list(value.items()) if isinstance(value, dict) else list(value)
