"""Wake-ups of a shard's tickers: a ticker sleeps until something is due, or until something earlier appears.

A wake-up may be lost when a connection breaks. That costs at most the time until the ticker's next look at the agenda,
never an instant.
"""

from __future__ import annotations

import time
from typing import Any

import redis

from jobistemer.core.errors import JobistemerError
from jobistemer.store.database import Database
from jobistemer.store.errors import translate_error
from jobistemer.store.server.pool import reserve


class WakeListener:
    """A subscription to the wake-ups of one shard; waiting sends no commands to the server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscription: Any = None
        self._reserved: Any = None

    def wait(self, seconds: float) -> set[str]:
        """Wait up to `seconds` for wake-ups. Returns their words: `job`, `run`, `start`. Raises NotConnected."""
        words: set[str] = set()
        deadline = time.monotonic() + seconds
        self.listen()
        try:
            while not words and (left := deadline - time.monotonic()) > 0:
                self._receive(left, words)
            # A burst of wake-ups is answered by one look, so the words that have already arrived are taken as well.
            while self._receive(0.0, words):
                pass
        except redis.RedisError as error:
            raise self._handle_error(error) from error
        return words

    def listen(self) -> None:
        """Subscribe; no wake-up is missed from now on. Raises NotConnected."""
        try:
            if self._subscription is None:
                client = self._database.node_client()
                # It keeps its connection as long as it listens.
                reserve(client, 1)
                self._reserved = client
                self._subscription = client.pubsub(ignore_subscribe_messages=True)
            if not self._subscription.subscribed:
                self._subscription.subscribe(self._database.keys.wake)
        except redis.RedisError as error:
            raise self._handle_error(error) from error

    def close(self) -> None:
        """Give the connection back; the next `listen` takes another one."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
            reserve(self._reserved, -1)

    def _handle_error(self, error: redis.RedisError) -> JobistemerError:
        # On a cluster the shard may have moved, and the next subscription has to go to its new node.
        self.close()
        self._database.learn_from_error(error)
        return translate_error(error, self._database.address)

    def _receive(self, seconds: float, words: set[str]) -> bool:
        """Take one message, waiting up to `seconds`. Returns whether there was one."""
        message = self._subscription.get_message(timeout=seconds)
        if message is None:
            return False
        words.add(message["data"].decode())
        return True
