"""The namespace of a measurement: reserved while it is empty, and emptied at the end, whatever happened."""

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
    """Reserve the namespace while the context lasts, and empty it afterwards. Raises Conflict when it is not empty.

    clear_first: empty the namespace before, but only when an earlier measurement has left its keys there.
    """
    if clear_first and find_owner(namespace):
        # The earlier measurement may have used another number of shards.
        clear(Namespace(namespace.url, namespace.name))
    _reserve(namespace)
    try:
        namespace.connect()
        yield
    finally:
        with _ignore_signals():
            clear(namespace)


def _reserve(namespace: Namespace) -> None:
    if owner := find_owner(namespace):
        raise Conflict(
            f"{namespace} has keys that `jobistemer bench` by {owner} has left there, or still uses: "
            "when that has ended, `--clear` empties it first"
        )
    if not acquire(namespace, process_identity()):
        raise Conflict(f"{namespace} is not empty: a measurement needs one of its own, such as --namespace bench")


@contextmanager
def _ignore_signals() -> Iterator[None]:
    """Ignore SIGINT and SIGTERM while the context lasts: a second Ctrl-C would leave half of the keys behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
