"""Clients for the keys of one hash slot: they follow the slot from node to node.

The keys of a shard are all in one slot, so a shard is on the node of its slot, and no command needs a look-up. A node
that does not serve the slot answers with a redirection: MOVED for good, ASK for one command. TRYAGAIN means that some
keys of the slot have been moved and others have not, so that a script with keys of both kinds can be executed nowhere
until the move is over. All of these come before anything is executed, so the command can be sent again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import redis
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from jobistemer.store.server.cluster_map import Address, Cluster

PATIENCE_S = 2.0
"""How long a command waits for a slot that is being moved; later its caller tries again anyway."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.25
MAX_REDIRECTIONS = 10

REDIRECTION_ERRORS = (AskError, TryAgainError, ClusterDownError)


class SlotRetry:
    """The tries of one command, or of one batch, until it reaches the node of its slot."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot
        self._deadline = time.monotonic() + PATIENCE_S
        self._pause_s = FIRST_PAUSE_S
        self._left = MAX_REDIRECTIONS
        self.node: Address = cluster.address(slot)
        self.asking = False

    def reset_redirections(self) -> None:
        """Allow all redirections again, for the next command of a batch; the time that is left is shared."""
        self._left = MAX_REDIRECTIONS

    def handle_error(self, error: redis.RedisError) -> float:
        """Choose the node for the next try.

        Returns the seconds to pause before it. Raises the error when there is no next try.
        """
        self._left -= 1
        failed, self.asking = self.node, False
        match error:
            case MovedError():
                self._cluster.record_move(self._slot, error.node_addr)
            case AskError():
                self.node, self.asking = error.node_addr, True
                return self._check_budget(error, 0.0)
            case TryAgainError() | ClusterDownError():
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
                if isinstance(error, ClusterDownError):
                    self._cluster.refresh(failed)
                self.node = self._cluster.address(self._slot)
                # The slot has not moved: waiting for it does not count as a redirection.
                self._left += 1
                return self._check_budget(error, self._pause_s)
            case redis.ConnectionError() | redis.TimeoutError():
                self._cluster.refresh(failed)
                if self._cluster.address(self._slot) == failed:
                    raise error
            case _:
                raise error
        self.node = self._cluster.address(self._slot)
        return self._check_budget(error, 0.0)

    def _check_budget(self, error: redis.RedisError, seconds: float) -> float:
        if not self._left or time.monotonic() + seconds > self._deadline:
            raise error
        return seconds


class SlotClient(redis.Redis):
    """A client for the keys of one slot. Commands without keys go to the node of the slot."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        super().__init__()
        self.cluster_map = cluster
        self.slot = slot

    def node_client(self) -> redis.Redis:
        """Return the client of the node that serves the slot now. Raises redis.ConnectionError or ClusterDownError."""
        return self.cluster_map.client(self.cluster_map.address(self.slot))

    def learn_from_error(self, error: redis.RedisError) -> None:
        """Update the map after the failure of a command that must not be sent again."""
        with suppress(redis.RedisError):
            match error:
                case MovedError():
                    self.cluster_map.record_move(self.slot, error.node_addr)
                case ClusterDownError() | redis.ConnectionError() | redis.TimeoutError():
                    self.cluster_map.refresh(self.cluster_map.address(self.slot))

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Execute a command on the node of the slot."""
        return self.execute_with(SlotRetry(self.cluster_map, self.slot), args, options)

    def execute_with(self, retry: SlotRetry, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Execute a command with the tries that are left, which it shares with the others of its batch."""
        while True:
            node = self.cluster_map.client(retry.node)
            try:
                return _execute_asking(node, args) if retry.asking else node.execute_command(*args, **options)
            except redis.RedisError as error:
                time.sleep(retry.handle_error(error))

    def pipeline(self, transaction: bool = False, shard_hint: Any = None) -> Any:  # noqa: ARG002, FBT001, FBT002 - the client's own form
        """Return a batch of commands, which is never a transaction."""
        return SlotPipeline(self)

    def pubsub(self, **options: Any) -> Any:
        """Return a subscription on the node that serves the slot now."""
        return self.node_client().pubsub(**options)

    def close(self) -> None:
        """Do nothing: the connections belong to the cluster."""


class SlotPipeline:
    """Commands that are sent together to the node of the slot; redirected ones are sent again."""

    def __init__(self, client: SlotClient) -> None:
        self._client = client
        self._commands: list[tuple[Any, ...]] = []

    def execute_command(self, *command: Any) -> None:
        """Add a command."""
        self._commands.append(command)

    def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        """Send the commands. Returns the answers in order; with `raise_on_error` the first error is raised instead."""
        retry = SlotRetry(self._client.cluster_map, self._client.slot)
        answers = self._send(retry)
        for index, answer in enumerate(answers):
            if isinstance(answer, REDIRECTION_ERRORS):
                answers[index] = self._resend(retry, answer, self._commands[index])
            if raise_on_error and isinstance(answers[index], redis.RedisError):
                raise answers[index]
        return answers

    def _send(self, retry: SlotRetry) -> list[Any]:
        while True:
            try:
                answers = self._send_to(self._client.cluster_map.client(retry.node))
            except redis.RedisError as error:
                time.sleep(retry.handle_error(error))
                continue
            # Only when all of them were redirected nothing was executed, and the whole batch can be sent again.
            if not answers or not all(isinstance(each, MovedError) for each in answers):
                return answers
            time.sleep(retry.handle_error(answers[0]))

    def _send_to(self, node: redis.Redis) -> list[Any]:
        pipe = node.pipeline(transaction=False)
        for command in self._commands:
            pipe.execute_command(*command)
        answers: list[Any] = pipe.execute(raise_on_error=False)
        return answers

    def _resend(self, retry: SlotRetry, error: redis.RedisError, command: tuple[Any, ...]) -> Any:
        retry.reset_redirections()
        try:
            time.sleep(retry.handle_error(error))
            return self._client.execute_with(retry, command, {})
        except redis.RedisError as final:
            return final


class AsyncSlotClient:
    """A client for asyncio, with the methods that a shard needs; it belongs to the event loop that uses it."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot

    async def execute_command(self, *args: Any) -> Any:
        """Execute a command on the node of the slot."""
        if not self._cluster.has_slot(self._slot):
            await asyncio.to_thread(self._cluster.refresh)
        retry = SlotRetry(self._cluster, self._slot)
        while True:
            node = self._cluster.async_client(retry.node)
            try:
                return await (_execute_asking_async(node, args) if retry.asking else node.execute_command(*args))
            except redis.RedisError as error:
                # In a thread: it may have to ask other nodes, which would block the loop.
                await asyncio.sleep(await asyncio.to_thread(retry.handle_error, error))

    async def aclose(self) -> None:
        """Close the connections of this event loop; the next use opens new ones."""
        await self._cluster.close_async()

    async def eval(self, text: str, *args: Any) -> Any:
        """Execute a script by its text."""
        return await self.execute_command("EVAL", text, *args)


def _execute_asking(node: redis.Redis, args: tuple[Any, ...]) -> Any:
    pipe = node.pipeline(transaction=False)
    pipe.execute_command("ASKING")
    pipe.execute_command(*args)
    return _second_answer(pipe.execute(raise_on_error=False))


async def _execute_asking_async(node: redis.asyncio.Redis, args: tuple[Any, ...]) -> Any:
    pipe = node.pipeline(transaction=False)
    pipe.execute_command("ASKING")
    pipe.execute_command(*args)
    return _second_answer(await pipe.execute(raise_on_error=False))


def _second_answer(answers: list[Any]) -> Any:
    if isinstance(answers[1], redis.RedisError):
        raise answers[1]
    return answers[1]
