"""One test for many things of a kind: thousands of tests of a millisecond each cost more to collect than to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Thing = TypeVar("Thing")


def for_each(
    things: Iterable[Thing], name_of: Callable[[Thing], str] = str
) -> Callable[[Callable[[Thing], None]], Callable[[], None]]:
    """Make one test of a check of each thing; it goes through all of them, and its message names those that fail."""

    def decorate(check: Callable[[Thing], None]) -> Callable[[], None]:
        def test() -> None:
            checked, failed = 0, {}
            for thing in things:
                checked += 1
                try:
                    check(thing)
                except AssertionError as error:
                    failed[name_of(thing)] = str(error)
            assert checked, "there is nothing to check"
            assert not failed, "\n\n".join(f"{name}: {said}" for name, said in failed.items())

        test.__name__, test.__module__ = check.__name__, check.__module__
        test.__doc__ = check.__doc__
        return test

    return decorate
