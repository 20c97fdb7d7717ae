"""Commands that many coroutines of one event loop send together.

Thousands of coroutines may enqueue calls and wait for results at a time, and each asks again and again. What they ask
for while an answer is on its way goes to the server together, over one connection: the batches need no timer and no
setting. Every command can be sent twice, since reads change nothing and scripts are idempotent.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from math import inf
from typing import Any, Final

from jobistemer.store.server.cluster_client import AsyncSlotClient
from jobistemer.store.server.deadline import seconds_left, until_deadline
from jobistemer.store.server.direct_execute import direct_execute_async

BATCH: Final = 500
"""How many commands go to the server in one round trip."""
ALONE: Final = 4
"""How many commands are sent alone, at once: below that there is nothing to gain from going with others."""

Asked = tuple[tuple[Any, ...], "asyncio.Future[Any]"]


class SharedCalls:
    """The commands of one event loop for one shard; `client` belongs to that loop."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._execute_script = direct_execute_async(client) or client.execute_command
        self._asked: list[Asked] = []
        self._alone = 0
        self._sender: asyncio.Task[None] | None = None

    async def ask(self, *command: Any) -> Any:
        """Execute a command; return its answer. Raises redis.RedisError, also when the deadline is over."""
        if self._sender is not None or self._alone >= ALONE:
            return await until_deadline(self._ask_with_others(command))
        self._alone += 1
        try:
            execute = self._execute_script if command[0] == "EVALSHA" else self.client.execute_command
            if seconds_left() == inf:
                return await execute(*command)
            return await until_deadline(execute(*command))
        finally:
            self._alone -= 1

    def _ask_with_others(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._asked.append((command, answer))
        if self._sender is None:
            # In a context of its own: the deadline of the first caller is not that of the others.
            self._sender = loop.create_task(self._send_batches(), context=Context())
        return answer

    async def _send_batches(self) -> None:
        try:
            while self._asked:
                batch, self._asked = self._asked[:BATCH], self._asked[BATCH:]
                await self._send([each for each in batch if not each[1].done()])
        finally:
            self._sender = None
            left, self._asked = self._asked, []
            for _, answer in left:
                answer.cancel()

    async def _send(self, batch: list[Asked]) -> None:
        try:
            answers = await self._ask_together([command for command, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who asked
            answers = [error] * len(batch)
        except BaseException:
            for _, answer in batch:
                answer.cancel()
            raise
        for (_, future), found in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)

    async def _ask_together(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        if isinstance(self.client, AsyncSlotClient):
            # A batch may be redirected command by command; the pool of the node bounds the connections.
            return await asyncio.gather(
                *(self.client.execute_command(*each) for each in commands), return_exceptions=True
            )
        pipe = self.client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers
