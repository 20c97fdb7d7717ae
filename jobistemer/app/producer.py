"""Enqueueing: from a call to a run in Redis, once, however often the client library sends it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha1
from itertools import islice
from typing import Any

import msgspec

from jobistemer.core import ids
from jobistemer.core.errors import InvalidInput, JobistemerError
from jobistemer.core.handlers import Handler, encode_payload
from jobistemer.core.messages import Message, compose, wire_options
from jobistemer.core.names import checked_name
from jobistemer.core.options import Options, complete
from jobistemer.core.plugins import Hooks
from jobistemer.core.sizes import DEFAULT_SIZES, Sizes
from jobistemer.runtime.telling import tell
from jobistemer.store import runs
from jobistemer.store.namespace import Namespace
from jobistemer.store.scripts import Call, Reply

BATCH = 1_000
"""How many runs `send_many` puts into one round trip."""


class Timing(msgspec.Struct, frozen=True):
    """When a call may start: after a delay, or at an instant; at most one of the two.

    delay: seconds or a timedelta. at: a timezone-aware datetime. Milliseconds count. Raises InvalidInput.
    """

    delay: float | timedelta | None = None
    at: datetime | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.at is not None:
            raise InvalidInput(f"delay is {self.delay!r} and at is {self.at!r}: give one of them")
        if self.at is not None and self.at.tzinfo is None:
            raise InvalidInput(f"at is {self.at!r}, which has no time zone; write datetime(…, tzinfo=UTC)")
        if self.delay is not None and self._delay_ms() < 0:
            raise InvalidInput(f"delay is {self.delay!r}, allowed are 0 and more seconds")

    def _delay_ms(self) -> int:
        delay = self.delay or 0
        return round((delay.total_seconds() if isinstance(delay, timedelta) else delay) * 1000)

    def due_at(self, now_ms: int) -> int:
        """Unix milliseconds from which on the call may start; 0 for at once."""
        if self.at is not None:
            at = round(self.at.timestamp() * 1000)
            return at if at > now_ms else 0
        delay = self._delay_ms()
        return now_ms + delay if delay else 0


NOW = Timing()


class Request(msgspec.Struct, frozen=True):
    """One call to be enqueued; what `enqueue_many` takes."""

    task: str
    payload: Any = {}
    options: Options = Options()
    timing: Timing = NOW
    unique: str = ""
    metadata: dict[str, str] = {}


class Producer:
    """Turns requests into runs. Handlers are looked up to check payloads; a producer may know none of them."""

    def __init__(
        self,
        namespace: Namespace,
        handlers: Mapping[str, Handler],
        defaults: Options,
        hooks: Hooks | None = None,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> None:
        self.namespace = namespace
        self._handlers = handlers
        self._defaults = defaults
        self._hooks = hooks or Hooks()
        self._sizes = sizes

    def send(self, request: Request) -> tuple[str, Reply]:
        """Enqueue one call in one round trip; the run's id and what the server said. Raises what `prepare` raises."""
        message, call = self.prepare(request)
        reply = self.namespace.for_id(message.unique or message.run).call(call)
        return message.run, self._told(message, reply)

    async def send_async(self, request: Request) -> tuple[str, Reply]:
        """The same, awaited."""
        message, call = self.prepare(request)
        reply = await self.namespace.for_id_async(message.unique or message.run).call(call)
        return message.run, self._told(message, reply)

    def send_many(self, requests: Iterable[Request]) -> Iterator[tuple[str, Reply]]:
        """Enqueue many calls in order, a thousand a round trip; a batch is refused or sent when it is reached."""
        waiting = iter(requests)
        while batch := [self.prepare(request) for request in islice(waiting, BATCH)]:
            yield from self._send_batch(batch)

    def prepare(self, request: Request) -> tuple[Message, Call]:
        """The message of a request and the call that creates its run; nothing is sent.

        Raises InvalidName, InvalidPayload, PayloadTooLarge or InvalidInput for what cannot be enqueued.
        """
        now = self.namespace.clock.now_ms()
        message = self._message(request, now)
        keys = self.namespace.for_id(message.unique or message.run).keys
        return message, runs.enqueue_run(keys, message, request.timing.due_at(now))

    def _message(self, request: Request, now: int) -> Message:
        handler = self._handlers.get(request.task)
        options = complete(self._defaults, handler.options if handler else Options(), request.options)
        return compose(
            run=ids.enqueued_run_id(now, secrets.randbits(74)),
            handler=checked_name("task", request.task),
            enqueued_at=now,
            payload=self._payload(request, handler),
            **wire_options(options),
            unique=_unique_key(request),
            metadata=request.metadata,
        )

    def _payload(self, request: Request, handler: Handler | None) -> msgspec.Raw:
        if isinstance(request.payload, msgspec.Raw):
            return request.payload
        if handler is None:
            return encode_payload(request.task, request.payload, self._sizes.payload_bytes)
        return handler.checked(request.payload)

    def _send_batch(self, batch: list[tuple[Message, Call]]) -> Iterator[tuple[str, Reply]]:
        by_shard: dict[int, list[tuple[Message, Call]]] = {}
        databases = {}
        for message, call in batch:
            database = self.namespace.for_id(message.unique or message.run)
            databases[id(database)] = database
            by_shard.setdefault(id(database), []).append((message, call))
        replies: dict[str, Reply | JobistemerError] = {}
        for shard, part in by_shard.items():
            answers = databases[shard].call_all([call for _, call in part])
            replies |= {message.run: answer for (message, _), answer in zip(part, answers, strict=True)}
        for message, _ in batch:
            answer = replies[message.run]
            if isinstance(answer, JobistemerError):
                raise answer
            yield message.run, self._told(message, answer)

    def _told(self, message: Message, reply: Reply) -> Reply:
        if self._hooks.enqueued and reply.word == "CREATED":
            tell(self._hooks.enqueued, message)
        return reply


def _unique_key(request: Request) -> str:
    if not request.unique:
        return ""
    # The key is the user's text, which may not enter a Redis key as it is.
    return f"{request.task}:{sha1(request.unique.encode(), usedforsecurity=False).hexdigest()}"
