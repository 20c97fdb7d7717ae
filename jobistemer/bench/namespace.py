"""The namespace of a measurement: taken when nobody has it, and emptied at the end, whatever happened."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobistemer.core.errors import Conflict
from jobistemer.runtime.process_info import process_identity
from jobistemer.store.actions.scratch_namespace import acquire, clear, find_owner
from jobistemer.store.namespace import Namespace

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def reserve_namespace(namespace: Namespace, *, clear_first: bool) -> Iterator[None]:
    """Have the namespace while the context lasts. Raises Conflict when it is not empty.

    clear_first: one that an earlier measurement has left behind is emptied before, and nothing else is.
    """
    if clear_first and find_owner(namespace):
        # What was left may have had another number of shards.
        clear(Namespace(namespace.url, namespace.name))
    _reserve(namespace)
    try:
        namespace.connect()
        yield
    finally:
        with _ignore_signals():
            clear(namespace)


def _reserve(namespace: Namespace) -> None:
    if by := find_owner(namespace):
        raise Conflict(
            f"{namespace} has what `jobistemer bench` by {by} has left there, or is using now: when it runs no more, "
            "`--clear` empties it first"
        )
    if not acquire(namespace, process_identity()):
        raise Conflict(f"{namespace} is not empty: a measurement needs one of its own, such as --namespace bench")


@contextmanager
def _ignore_signals() -> Iterator[None]:
    """Nobody who presses Ctrl-C twice leaves half of it behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
