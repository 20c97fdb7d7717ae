"""The step recorder: writes records of steps, those of concurrent runs together.

One thread for each shard takes what is there and sends it in one round trip; what comes meanwhile goes with the next
one. The handler waits until its record is written: a step that has returned is not repeated.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol, TypeVar

from jobistemer.core.errors import JobistemerError, NotConnected
from jobistemer.runtime.repeat import start_thread
from jobistemer.store.calls.durable.steps import MAX_RUNS_PER_CALL, StepWrite, record_steps
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply

R = TypeVar("R")

WAIT_S = 0.5
"""How often a handler that waits executes Python, so that it can be stopped."""
RETRY_S = 0.2
"""The pause before a record is sent again while the server is away."""
HOLD_S = 5.0
"""How long a record holds up the end of a handler that is cancelled: the server may be away."""
MAX_BATCH = 2 * MAX_RUNS_PER_CALL

Answer = str | JobistemerError
"""DONE, KNOWN, STALE or SIGNALED, or the error of the server."""


async def wait_to_end(written: asyncio.Future[R]) -> R:
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
    """Writes records of steps."""

    def write(self, database: Database, write: StepWrite) -> str:
        """Write records and wait for it. Returns DONE, KNOWN, STALE or SIGNALED. Raises NotConnected, …."""
        ...

    async def write_async(self, database: Database, write: StepWrite) -> str:
        """Write records, awaited."""
        ...

    def write_later(self, database: Database, write: StepWrite) -> None:
        """Write records without waiting for it; they may be lost."""
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


class _Item(NamedTuple):
    write: StepWrite
    settle: Callable[[Answer], None]


class GroupRecorder:
    """Writes the records of all handlers of a worker, those of a shard together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shards: dict[int, _ShardRecorder] = {}

    def write(self, database: Database, write: StepWrite) -> str:
        """Write records and wait for it. Raises ServerRefused; while the server is away it waits on."""
        written = threading.Lock()
        written.acquire()
        answers: list[Answer] = []

        def settle(answer: Answer) -> None:
            answers.append(answer)
            written.release()

        self._shard(database).add(_Item(write, settle))
        # Not without a limit: a thread that never executes Python cannot be stopped.
        while not written.acquire(timeout=WAIT_S):
            pass
        return _raise_or_return(answers[0])

    async def write_async(self, database: Database, write: StepWrite) -> str:
        """Write records, awaited. Raises ServerRefused; while the server is away it waits on."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Answer] = loop.create_future()

        def finish(answer: Answer) -> None:
            if not written.done():
                written.set_result(answer)

        def settle(answer: Answer) -> None:
            # The loop may be closed by now: then nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, answer)

        self._shard(database).add(_Item(write, settle))
        return _raise_or_return(await wait_to_end(written))

    def write_later(self, database: Database, write: StepWrite) -> None:
        """Write records with the next ones, without waiting for it."""
        self._shard(database).add(_Item(write, lambda _: None))

    def _shard(self, database: Database) -> _ShardRecorder:
        found = self._shards.get(id(database))
        if found is None:
            with self._lock:
                # Made with the first record of a shard: most workers never need its thread.
                found = self._shards.get(id(database)) or _ShardRecorder(database)
                self._shards[id(database)] = found
        return found


class _ShardRecorder:
    """The thread that writes to one shard."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: SimpleQueue[_Item] = SimpleQueue()
        self.add = self._waiting.put
        """Queue records."""
        start_thread(self._work, "step recorder")

    def _work(self) -> None:
        while True:
            items = [self._waiting.get()]
            with suppress(Empty):
                while len(items) < MAX_BATCH:
                    items.append(self._waiting.get_nowait())
            for item, answer in zip(items, self._send([each.write for each in items]), strict=True):
                item.settle(answer)

    def _send(self, writes: list[StepWrite]) -> list[Answer]:
        parts = [writes[at : at + MAX_RUNS_PER_CALL] for at in range(0, len(writes), MAX_RUNS_PER_CALL)]
        while True:
            try:
                replies = self._database.call_all([record_steps(self._database.keys, part) for part in parts])
            except NotConnected:
                # Nothing that was done is repeated for want of a server: its record is sent again until it is there.
                time.sleep(RETRY_S)
                continue
            except Exception as error:  # noqa: BLE001 - whoever waits for its record must not wait for ever
                return [JobistemerError(f"the record of a step could not be written: {error}")] * len(writes)
            answers: list[Answer] = []
            for part, reply in zip(parts, replies, strict=True):
                answers += [reply] * len(part) if isinstance(reply, JobistemerError) else read_words(reply)
            return answers


def read_words(reply: Reply) -> list[str]:
    """Return the answer for each run in a reply of `record_steps`."""
    return [each.decode() for each in reply.values]


def _raise_or_return(answer: Answer) -> str:
    if isinstance(answer, JobistemerError):
        raise answer
    return answer
