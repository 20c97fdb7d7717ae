"""One shard of a namespace for asyncio: awaits calls of scripts, which are the same values as those of a `Database`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import redis
from redis.exceptions import NoPermissionError, NoScriptError

from jobistemer.core.errors import ServerRefused
from jobistemer.store.database import TIME, Database, explain_refusal, learn_identity, read_reply, read_time_ms
from jobistemer.store.errors import translate_error
from jobistemer.store.scripts import Reply, ScriptCall
from jobistemer.store.server.deadline import until_deadline
from jobistemer.store.server.shared_calls import SharedCalls


class AsyncDatabase:
    """A shard for asyncio, on a client of its own; the calls are the same values.

    database: the same shard for callers that wait. It has the keys and the clock, and knows the identity of the shard.
    """

    def __init__(self, shared: SharedCalls, database: Database) -> None:
        self._shared = shared
        self._database = database
        self.keys = database.keys
        self.clock = database.clock
        self.address = database.address

    async def read_clock(self) -> int:
        """Ask the server for its time, correct the clock by it, and return it in milliseconds."""
        # Alone, and not with others: the clock is corrected by the time that the answer takes.
        try:
            answer = await until_deadline(self._shared.client.execute_command(*TIME))
        except redis.RedisError as error:
            raise translate_error(error, self.address) from error
        self.clock.correct(read_time_ms(answer))
        return self.clock.now_ms()

    async def compare_identity(self) -> None:
        """Ask for the identity of the shard and compare it, as `compare_identity` does."""
        with suppress(ServerRefused):
            learn_identity(self._database, await self.ask("GET", self.keys.identity))

    async def call(self, call: ScriptCall) -> Reply:
        """Execute one call. Raises NotConnected or ServerRefused."""
        combined = call.combined
        return read_reply(call, await self.ask(*combined.command, script=combined))

    async def ask(self, *command: Any, script: ScriptCall | None = None) -> Any:
        """Execute one command and return what the server answers. Raises NotConnected or ServerRefused."""
        try:
            try:
                return await self._shared.ask(*command)
            except NoScriptError as unknown:
                if script is None:
                    raise
                return await self._execute_unknown(script, unknown)
        except redis.RedisError as error:
            raise translate_error(error, self.address, script) from error

    async def _execute_unknown(self, call: ScriptCall, unknown: NoScriptError) -> Any:
        try:
            return await self._shared.ask("EVAL", call.script.text, len(call.keys), *call.keys, *call.args)
        except NoPermissionError as refused:
            raise explain_refusal(call, unknown, refused) from None
