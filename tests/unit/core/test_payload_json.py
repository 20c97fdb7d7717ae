"""The JSON of a payload: one object, nested no deeper than every reader can follow."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobistemer.core.errors import InvalidPayload
from jobistemer.core.payload_json import MAX_DEPTH, check_json_depth, read_object

VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | st.text('ab[]{}"\\ \n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a[]{}"\\', max_size=3), inner, max_size=3),
)


def nested(levels: int, inside: object) -> object:
    """Return a value in `levels` lists and objects, in turns."""
    for level in range(levels):
        inside = [inside, "]"] if level % 2 else {'a"[{\\': inside, "b": []}
    return inside


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, dict | list) else 0


@given(VALUES, st.integers(55, 70))
def test_a_value_is_refused_exactly_when_it_is_nested_deeper_than_the_limit(value, levels):
    value = nested(levels, value)
    encoded = msgspec.json.encode(value)
    if depth_of(value) <= MAX_DEPTH:
        check_json_depth("send", encoded)
    else:
        with pytest.raises(InvalidPayload, match="payload of task 'send' is nested deeper than 64 levels"):
            check_json_depth("send", encoded)


@pytest.mark.parametrize("given", [b"", b"{", b"[]", b'{},"handler":"other"', b'{"a":1}}', b"1", b"null", b'{"a":1'])
def test_what_is_not_one_object_is_refused(given):
    with pytest.raises(InvalidPayload, match="payload of task 'send' must be one JSON object of keyword arguments"):
        read_object("send", given)


def test_the_members_of_an_object_stay_as_they_were_written():
    assert read_object("send", b' {"a": 1.50, "b": []} ') == {"a": msgspec.Raw(b"1.50"), "b": msgspec.Raw(b"[]")}
