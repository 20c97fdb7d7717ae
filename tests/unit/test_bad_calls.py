"""What a call may not say is refused with one kind of error, which names the option and the value."""

from __future__ import annotations

from typing import Any

import pytest

from jobistemer.app.requests import build_request
from jobistemer.core.errors import InvalidDefinition, InvalidInput
from jobistemer.core.options import Options
from jobistemer.core.retries import Exponential


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"delay": 1e300}, "delay is 1e+300, allowed are at most 31622400 seconds"),
        ({"at": "2026-01-01"}, "at is '2026-01-01', allowed is a datetime with a time zone"),
        ({"unique": "\ud800"}, "unique is '\\ud800', allowed are texts of at most 4096 bytes"),
        ({"metadata": "order"}, "metadata is 'order', allowed are texts by name, such as {'order': '7'}"),
        ({"headers": {"a": "\ud800"}}, "headers has 'a': '\\ud800', which cannot be written as UTF-8"),
        ({"max_retries": 2}, "a call of task 'send' has no option max_retries; write retry=Exponential(max_retries=…)"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_with_the_value(said: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build_request("send", {}, **said)
    assert str(refused.value) == message


def test_an_option_with_a_typing_error_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidInput, match="has no option dellay; known are at, .*debounce, delay, "):
        build_request("send", {}, dellay=5)


def test_fractions_of_retries_and_crashes_which_no_worker_could_read_are_refused() -> None:
    with pytest.raises(InvalidDefinition, match=r"max_retries is 1.5, allowed are whole numbers from 0 to 1000"):
        Exponential(max_retries=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidDefinition, match=r"max_crashes is 1.5, allowed are whole numbers from 1 to 100"):
        Options(max_crashes=1.5)  # type: ignore[arg-type]
