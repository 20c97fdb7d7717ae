"""The bell of a shard: a ticker sleeps until something is due, or until something earlier appears.

A wake-up may be lost when a connection breaks; that costs at most one pass of the ticker, never an instant.
"""

from __future__ import annotations

import time
from typing import Any

import redis

from jobistemer.core.errors import JobistemerError
from jobistemer.store.database import Database
from jobistemer.store.errors import translate_error


class WakeListener:
    """Waits for wake-ups without asking the server for anything."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscription: Any = None

    def wait(self, seconds: float) -> set[str]:
        """Wait up to `seconds` for wake-ups; what they say: `job`, `run`, `start`. Raises NotConnected."""
        heard: set[str] = set()
        deadline = time.monotonic() + seconds
        self.listen()
        try:
            while not heard and (left := deadline - time.monotonic()) > 0:
                self._receive(left, heard)
            while self._receive(0.0, heard):
                pass
        except redis.RedisError as error:
            raise self._handle_error(error) from error
        return heard

    def listen(self) -> None:
        """From now on nothing is missed. Raises NotConnected."""
        try:
            if self._subscription is None:
                self._subscription = self._database.client.pubsub(ignore_subscribe_messages=True)
            if not self._subscription.subscribed:
                self._subscription.subscribe(self._database.keys.wake)
        except redis.RedisError as error:
            raise self._handle_error(error) from error

    def close(self) -> None:
        """Give the connection back; who listens again gets another one."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    def _handle_error(self, error: redis.RedisError) -> JobistemerError:
        # On a cluster the next subscription may have to be at another node.
        self.close()
        self._database.learn_from_error(error)
        return translate_error(error, self._database.address)

    def _receive(self, seconds: float, heard: set[str]) -> bool:
        message = self._subscription.get_message(timeout=seconds)
        if message is None:
            return False
        heard.add(message["data"].decode())
        return True
