"""A process beside the one that measures, from its start to what it says at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from jobistemer.bench.role_process import Spent
from jobistemer.core.errors import JobistemerError
from jobistemer.runtime.child_process import Child
from jobistemer.store.namespace import Namespace

PATIENCE_S: Final = 15.0
"""How long a process may take to be there, and to end when it is told to."""
LOOK_S: Final = 0.02


class Beside:
    """A worker or a ticker at work in a namespace."""

    def __init__(self, namespace: Namespace, role: str, seconds: float) -> None:
        self._lines: list[str] = []
        where = {"JOBISTEMER_URL": namespace.url, "JOBISTEMER_NAMESPACE": namespace.name}
        given = (role, str(seconds), "until-eof")
        self._child = Child(
            role, "jobistemer.bench.role_process", given, where, lambda _, line: self._lines.append(line)
        )

    def finish(self, patience_s: float = PATIENCE_S) -> Spent:
        """Wait for its end, and hear what it did. Raises JobistemerError when it did not work."""
        until(lambda: self._child.ended is not None, f"the {self._child.name} process", patience_s)
        self._child.hear_out()
        if self._child.ended != 0 or not self._lines:
            raise JobistemerError(f"the {self._child.name} process failed: {' '.join(self._lines[-3:]) or 'no word'}")
        return msgspec.json.decode(self._lines[-1], type=Spent)

    def terminate(self) -> None:
        """Ask it to end."""
        self._child.terminate()

    def kill(self) -> None:
        """End it by force, unless it has ended."""
        self._child.kill()


@contextmanager
def beside(namespace: Namespace, role: str, seconds: float = 0.0) -> Iterator[Beside]:
    """A process that is there as long as the context lasts, at the most."""
    started = Beside(namespace, role, seconds)
    try:
        yield started
    finally:
        started.kill()


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Look until the condition holds. Raises JobistemerError when that takes too long."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise JobistemerError(f"{what} took longer than {patience_s:g} s; is the machine or the server very busy?")
        time.sleep(LOOK_S)
