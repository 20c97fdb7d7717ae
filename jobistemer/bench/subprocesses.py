"""A process beside the one that measures, from its start to what it says at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from jobistemer.bench.role_process import RoleResult
from jobistemer.core.errors import JobistemerError
from jobistemer.runtime.child_process import ChildProcess
from jobistemer.store.namespace import Namespace

TIMEOUT_S: Final = 15.0
"""How long a process may take to be there, and to end when it is told to."""
POLL_S: Final = 0.02


class RoleProcess:
    """A worker or a ticker at work in a namespace."""

    def __init__(self, namespace: Namespace, role: str, seconds: float) -> None:
        self._lines: list[str] = []
        environment = {"JOBISTEMER_URL": namespace.url, "JOBISTEMER_NAMESPACE": namespace.name}
        arguments = (role, str(seconds), "until-eof")
        self._process = ChildProcess(
            role, "jobistemer.bench.role_process", arguments, environment, lambda _, line: self._lines.append(line)
        )

    def finish(self, timeout_s: float = TIMEOUT_S) -> RoleResult:
        """Wait for its end, and hear what it did. Raises JobistemerError when it did not work."""
        wait_until(lambda: self._process.exit_code is not None, f"the {self._process.name} process", timeout_s)
        self._process.join_output()
        if self._process.exit_code != 0 or not self._lines:
            raise JobistemerError(f"the {self._process.name} process failed: {' '.join(self._lines[-3:]) or 'no word'}")
        return msgspec.json.decode(self._lines[-1], type=RoleResult)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it by force, unless it has ended."""
        self._process.kill()


@contextmanager
def start_role(namespace: Namespace, role: str, seconds: float = 0.0) -> Iterator[RoleProcess]:
    """A process that is there as long as the context lasts, at the most."""
    started = RoleProcess(namespace, role, seconds)
    try:
        yield started
    finally:
        started.kill()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Look until the condition holds. Raises JobistemerError when that takes too long."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise JobistemerError(f"{what} took longer than {timeout_s:g} s; is the machine or the server very busy?")
        time.sleep(POLL_S)
