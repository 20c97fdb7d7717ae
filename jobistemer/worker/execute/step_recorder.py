"""The step recorder: writes and reads records of steps, those of concurrent runs together.

The handler waits until its record is written: a step that has returned is not repeated.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from jobistemer.core.errors import JobistemerError, ServerRefused
from jobistemer.store.calls.durable.steps import (
    MAX_RUNS_PER_CALL,
    StepWrite,
    read_steps,
    read_steps_of_runs,
    record_steps,
)
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply
from jobistemer.worker.execute.batcher import Batcher, unwrap
from jobistemer.worker.execute.server_wait import wait_for_server

Q = TypeVar("Q")
A = TypeVar("A")

HOLD_S = 5.0
"""How long a record holds up the end of a handler that is cancelled: the server may be away."""
MAX_BATCH = 2 * MAX_RUNS_PER_CALL

Records = Mapping[bytes, bytes]
"""The steps of a run by name, as they are stored."""


async def wait_to_end(written: asyncio.Future[A]) -> A:
    """Await a record, and for HOLD_S also when this task is cancelled meanwhile. Raises what the record raises.

    A sibling that suspends the run cancels this task. The function of the step has run by now: ended without its
    record, the attempt would leave its effect to be done once more.
    """
    try:
        return await asyncio.shield(written)
    except asyncio.CancelledError:
        await asyncio.wait([written], timeout=HOLD_S)
        raise


class Recorder(Protocol):
    """Writes records of steps, and reads them for coroutines."""

    def write(self, database: Database, write: StepWrite) -> str:
        """Write records and wait for it. Returns DONE, KNOWN, STALE or SIGNALED. Raises NotConnected, …."""
        ...

    async def write_async(self, database: Database, write: StepWrite) -> str:
        """Write records, awaited."""
        ...

    def write_later(self, database: Database, write: StepWrite) -> None:
        """Write records without waiting for it; they may be lost."""
        ...

    async def read_async(self, database: Database, run: str) -> Records:
        """Return the records of a run. Raises NotConnected or ServerRefused."""
        ...


class DirectRecorder:
    """Writes each record in the thread of its handler: for tests, which go step by step."""

    def write(self, database: Database, write: StepWrite) -> str:
        """Write records. Raises NotConnected or ServerRefused."""
        return read_words(database.call(record_steps(database.keys, [write])))[0]

    async def write_async(self, database: Database, write: StepWrite) -> str:
        """Write records in a thread. Raises NotConnected or ServerRefused."""
        return await wait_to_end(asyncio.get_running_loop().run_in_executor(None, self.write, database, write))

    def write_later(self, database: Database, write: StepWrite) -> None:
        """Write records now."""
        with suppress(JobistemerError):
            self.write(database, write)

    async def read_async(self, database: Database, run: str) -> Records:
        """Read the records in a thread. Raises NotConnected or ServerRefused."""
        return await asyncio.to_thread(read_steps, database, run)


class GroupRecorder:
    """Reads and writes the records of all handlers of a worker, those of a shard together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writers: dict[Database, Batcher[StepWrite, str]] = {}
        self._readers: dict[Database, Batcher[str, Records]] = {}

    def write(self, database: Database, write: StepWrite) -> str:
        """Write records and wait for it. Raises ServerRefused; while the server is away it waits on."""
        return self._find(self._writers, _send_writes, database).call(write)

    async def write_async(self, database: Database, write: StepWrite) -> str:
        """Write records, awaited. Raises ServerRefused; while the server is away it waits on."""
        return unwrap(await wait_to_end(self._find(self._writers, _send_writes, database).submit(write)))

    def write_later(self, database: Database, write: StepWrite) -> None:
        """Write records with the next ones, without waiting for it."""
        self._find(self._writers, _send_writes, database).add(write)

    async def read_async(self, database: Database, run: str) -> Records:
        """Return the records of a run, read with those of other runs that begin now.

        Raises ServerRefused; while the server is away it waits on.
        """
        return await self._find(self._readers, _send_reads, database).call_async(run)

    def _find(
        self,
        batchers: dict[Database, Batcher[Q, A]],
        send: Callable[[Database, list[Q]], list[A | Exception]],
        database: Database,
    ) -> Batcher[Q, A]:
        found = batchers.get(database)
        if found is None:
            with self._lock:
                # Made with the first step of a shard: most workers never need its thread.
                found = batchers.get(database) or Batcher(partial(send, database), MAX_BATCH)
                batchers[database] = found
        return found


def _send_writes(database: Database, writes: list[StepWrite]) -> list[str | Exception]:
    parts = [writes[at : at + MAX_RUNS_PER_CALL] for at in range(0, len(writes), MAX_RUNS_PER_CALL)]
    # Nothing that was done is repeated for want of a server: its record is sent again until it is there.
    replies = wait_for_server(lambda: database.call_all([record_steps(database.keys, part) for part in parts]))
    answers: list[str | Exception] = []
    for part, reply in zip(parts, replies, strict=True):
        answers += [reply] * len(part) if isinstance(reply, JobistemerError) else read_words(reply)
    return answers


def _send_reads(database: Database, runs: list[str]) -> list[Records | Exception]:
    try:
        return [*wait_for_server(lambda: read_steps_of_runs(database, runs))]
    except ServerRefused:
        # One of them cannot be read, which is no reason for the others to fail.
        return [_read_one(database, run) for run in runs]


def _read_one(database: Database, run: str) -> Records | Exception:
    try:
        return read_steps(database, run)
    except JobistemerError as error:
        return error


def read_words(reply: Reply) -> list[str]:
    """Return the answer for each run in a reply of `record_steps`."""
    return [each.decode() for each in reply.values]
