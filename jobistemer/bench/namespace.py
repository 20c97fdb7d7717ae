"""The namespace of a measurement: taken when nobody has it, and emptied at the end, whatever happened."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobistemer.core.errors import Conflict
from jobistemer.runtime.process_info import process_identity
from jobistemer.store.actions.scratch_namespace import clear, mark, take
from jobistemer.store.namespace import Namespace

ENDINGS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def taken(namespace: Namespace, *, anew: bool) -> Iterator[None]:
    """Have the namespace while the context lasts. Raises Conflict when it is not empty.

    anew: one that an earlier measurement has left behind is emptied before, and nothing else is.
    """
    if anew and mark(namespace):
        # What was left may have had another number of shards.
        clear(Namespace(namespace.url, namespace.name))
    _take(namespace)
    try:
        namespace.shards  # noqa: B018 - fixes their number, for all who come to it
        yield
    finally:
        with _undisturbed():
            clear(namespace)


def _take(namespace: Namespace) -> None:
    if by := mark(namespace):
        raise Conflict(
            f"{namespace} has what `jobistemer bench` by {by} has left there, or is using now: when it runs no more, "
            "`--clear` empties it first"
        )
    if not take(namespace, process_identity()):
        raise Conflict(f"{namespace} is not empty: a measurement needs one of its own, such as --namespace bench")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nobody who presses Ctrl-C twice leaves half of it behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
