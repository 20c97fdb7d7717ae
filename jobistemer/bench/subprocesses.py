"""A role process as the process that measures sees it, from its start to its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from jobistemer.bench.role_process import RoleResult
from jobistemer.core.errors import JobistemerError
from jobistemer.runtime.child_process import ChildProcess, module_command
from jobistemer.store.namespace import Namespace

TIMEOUT_S: Final = 15.0
"""Seconds that a process may take to start, and to end when it is asked to."""
POLL_S: Final = 0.02


class RoleProcess:
    """A worker or a ticker that works in a namespace, in a process of its own."""

    def __init__(self, namespace: Namespace, role: str, seconds: float) -> None:
        self._lines: list[str] = []
        environment = {"JOBISTEMER_URL": namespace.url, "JOBISTEMER_NAMESPACE": namespace.name}
        command = module_command("jobistemer.bench.role_process", role, str(seconds), "until-eof")
        self._process = ChildProcess(role, command, environment, lambda _, line: self._lines.append(line))

    def finish(self, timeout_s: float = TIMEOUT_S) -> RoleResult:
        """Wait for the end of the process, and return its result. Raises JobistemerError when it failed."""
        wait_until(lambda: self._process.exit_code is not None, f"the {self._process.name} process", timeout_s)
        self._process.join_output()
        if self._process.exit_code != 0 or not self._lines:
            raise JobistemerError(
                f"the {self._process.name} process failed: {' '.join(self._lines[-3:]) or 'no output'}"
            )
        return msgspec.json.decode(self._lines[-1], type=RoleResult)

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        self._process.kill()


@contextmanager
def start_role(namespace: Namespace, role: str, seconds: float = 0.0) -> Iterator[RoleProcess]:
    """Start a role process, and kill it at the end of the context unless it has ended."""
    started = RoleProcess(namespace, role, seconds)
    try:
        yield started
    finally:
        started.kill()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until the condition holds. Raises JobistemerError when that takes longer than the timeout."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise JobistemerError(f"{what} took longer than {timeout_s:g} s; is the machine or the server very busy?")
        time.sleep(POLL_S)
