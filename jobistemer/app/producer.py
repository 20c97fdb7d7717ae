"""Enqueueing: from a call to a run in Redis, once, however often the client library sends it."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from jobistemer.app.enqueue_hooks import AddHeaders, enter_enqueue_hooks
from jobistemer.app.request import NOW, Debounce, Request, Unique, lock_name
from jobistemer.core import ids
from jobistemer.core.durations import milliseconds
from jobistemer.core.errors import InvalidInput, JobistemerError, QueueClosed
from jobistemer.core.handlers.handler import Handler, encode_payload
from jobistemer.core.handlers.hooks import Hooks
from jobistemer.core.jobs.options import Options, complete_options
from jobistemer.core.jobs.retries import with_retries
from jobistemer.core.names import check_name
from jobistemer.core.runs.message import EMPTY_PAYLOAD, Message, drop_defaults, to_message_fields
from jobistemer.core.sizes import DEFAULT_SIZES, Sizes
from jobistemer.runtime.hooks import call_hooks
from jobistemer.store.calls import runs
from jobistemer.store.calls.runs import MAX_RUNS_PER_CALL
from jobistemer.store.database import CLOCK_MAX_AGE_S, Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.namespace import Namespace
from jobistemer.store.scripts import Call, Reply

BATCH = 1_000
"""How many runs `send_many` puts into one round trip."""
CACHE_SIZE = 1_000
LONG_SILENCE_S = 300.0
TRIES = 5
"""How often a debounced call looks again, when others keep changing what it saw."""

Steps = Generator[Call, Reply, Reply]
"""Calls to be made in turn; each is answered before the next is known. Returns the last answer."""


class SentCall(NamedTuple):
    """A call that has been made: its task, the run made for it, what its shard is found by, what the server said."""

    task: str
    run: str
    shard: str
    reply: Reply


class PreparedCall(NamedTuple):
    """A call ready to be sent; lock is the name of its unique lock, limit that of the limit its shard is found by."""

    request: Request
    message: Message
    lock: str
    limit: str = ""

    @property
    def shard(self) -> str:
        """The id by which the shard of the call is found."""
        return self.lock or self.limit or self.message.run

    def to_sent(self, reply: Reply) -> SentCall:
        """The call, made. Raises QueueClosed when the server said so."""
        if reply.word == "CLOSED":
            queue = self.message.queue
            raise QueueClosed(
                f"queue {queue!r} is being drained and takes no new runs: {self.request.task!r} was not enqueued; "
                f"use another queue, or open it again with `jobistemer queue open {queue}`"
            )
        return SentCall(self.request.task, self.message.run, self.shard, reply)


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
        # What the options of a call make of its message; calls repeat them.
        self._fields: dict[tuple[str, bool, Options, int | None], dict[str, Any]] = {}

    def send(self, request: Request) -> SentCall:
        """Enqueue one call, as a rule in one round trip. Raises what `prepare` raises, or QueueClosed."""
        if self._hooks.enqueueing:
            with enter_enqueue_hooks(self._hooks.enqueueing) as add_headers:
                return self._send(request, add_headers)
        return self._send(request)

    def _send(self, request: Request, add_headers: AddHeaders | None = None) -> SentCall:
        prepared = self._prepare(request, self._now_ms(), add_headers)
        database = self.namespace.for_id(prepared.shard)
        if not isinstance(request.single, Debounce):
            return self._notify(prepared, database.call(_build_call(database.keys, prepared)))
        return self._notify(prepared, _run_debounce(database, prepared))

    async def send_async(self, request: Request) -> SentCall:
        """The same, awaited."""
        if self._hooks.enqueueing:
            with enter_enqueue_hooks(self._hooks.enqueueing) as add_headers:
                return await self._send_async(request, add_headers)
        return await self._send_async(request)

    async def _send_async(self, request: Request, add_headers: AddHeaders | None = None) -> SentCall:
        if self.namespace.clock.age_s > CLOCK_MAX_AGE_S:
            await self.namespace.read_clock_async()
        prepared = self._prepare(request, self.namespace.clock.now_ms(), add_headers)
        database = self.namespace.async_shard(self.namespace.for_id(prepared.shard))
        if not isinstance(request.single, Debounce):
            return self._notify(prepared, await database.call(_build_call(database.keys, prepared)))
        steps = _debounce_steps(database.keys, request.single, prepared)
        call = next(steps)
        while True:
            try:
                call = steps.send(await database.call(call))
            except StopIteration as end:
                return self._notify(prepared, end.value)

    def send_many(self, requests: Iterable[Request]) -> Iterator[SentCall]:
        """Enqueue many calls in order, a thousand a round trip; a batch is refused or sent when it is reached."""
        waiting, make = iter(requests), self._prepare_with_hooks if self._hooks.enqueueing else self._prepare
        while batch := list(islice(waiting, BATCH)):
            now = self._now_ms()
            prepared = [make(request, now) for request in batch]
            replies: dict[str, Reply] = {}
            by_shard: defaultdict[Database, list[PreparedCall]] = defaultdict(list)
            for each in prepared:
                by_shard[self.namespace.for_id(each.shard)].append(each)
            for database, part in by_shard.items():
                replies |= _send_to_shard(database, part)
            for each in prepared:
                yield self._notify(each, replies[each.message.run])

    def prepare(self, request: Request, keys: Keys | None = None) -> tuple[Message, Call]:
        """The message of a request and the one call that creates its run; nothing is sent.

        keys: of the shard that it is to be on, unless it has a unique key.
        Raises InvalidName, InvalidPayload, PayloadTooLarge or InvalidInput for what cannot be enqueued so.
        """
        if isinstance(request.single, Debounce):
            raise InvalidInput(f"a debounced call of {request.task!r} cannot be part of a transaction")
        prepared = (self._prepare_with_hooks if self._hooks.enqueueing else self._prepare)(request, self._now_ms())
        if keys is None or request.single is not None:
            keys = self.namespace.for_id(prepared.shard).keys
        return prepared.message, _build_call(keys, prepared)

    def _now_ms(self) -> int:
        # Calls correct the clock along the way. After a long silence there was none, and the machine may have slept.
        if self.namespace.clock.age_s > LONG_SILENCE_S:
            return self.namespace.read_clock()
        return self.namespace.clock.now_ms()

    def _notify(self, prepared: PreparedCall, reply: Reply) -> SentCall:
        sent = prepared.to_sent(reply)
        if self._hooks.enqueued and reply.word == "CREATED":
            call_hooks(self._hooks.enqueued, prepared.message)
        return sent

    def _prepare_with_hooks(self, request: Request, now: int) -> PreparedCall:
        with enter_enqueue_hooks(self._hooks.enqueueing) as add_headers:
            return self._prepare(request, now, add_headers)

    def _prepare(self, request: Request, now: int, add_headers: AddHeaders | None = None) -> PreparedCall:
        if not isinstance(request, Request):
            raise InvalidInput(f"a call is {request!r:.80}, allowed is what task.request(…) or app.request(…) gives")
        handler = self._handlers.get(request.task)
        fields, lock = self._message_fields(request, handler), ""
        if request.single is not None or request.timing.expires or request.metadata or request.headers:
            lock = lock_name(request.task, request.single) if request.single else ""
            fields = fields | _rare_fields(request, lock, now)
        payload = request.payload
        if not isinstance(payload, msgspec.Raw):
            most = self._sizes.payload_bytes
            payload = handler.encode_arguments(payload) if handler else encode_payload(request.task, payload, most)
        run = ids.enqueued_run_id(now, secrets.randbits(74))
        # The very object that is the default is left out on the wire; an equal one would be sent.
        sent = EMPTY_PAYLOAD if payload == EMPTY_PAYLOAD else payload
        message = Message(run, request.task, now, sent, **fields)
        if add_headers is not None:
            message = add_headers(message)
        many = handler is not None and handler.is_limited and len(self.namespace.shards) > 1
        return PreparedCall(request, message, lock, handler.shard_key(message) if many and handler else "")

    def _message_fields(self, request: Request, handler: Handler | None) -> dict[str, Any]:
        task, options = request.task, request.options
        key = (task, handler is not None, options, request.max_retries)
        if (known := self._fields.get(key)) is not None:
            return known
        check_name("task", task)
        chosen = complete_options(self._defaults, handler.options if handler else Options(), options)
        if request.max_retries is not None:
            chosen = msgspec.structs.replace(chosen, retry=with_retries(chosen.retry, request.max_retries))
        if len(self._fields) >= CACHE_SIZE:
            self._fields.clear()
        fields = self._fields[key] = drop_defaults(**to_message_fields(chosen))
        return fields


def _rare_fields(request: Request, lock: str, now: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"expires_at": request.timing.expires_at(now)}
    if isinstance(request.single, Unique) and request.single.window is None:
        fields |= {"unique": lock, "unique_queued": request.single.until == "started"}
    if request.metadata:
        fields["metadata"] = request.metadata
    if request.headers:
        fields["headers"] = request.headers
    return fields


def _build_call(keys: Keys, prepared: PreparedCall) -> Call:
    message, single = prepared.message, prepared.request.single
    due_at = prepared.request.timing.due_at(message.enqueued_at)
    if single is None:
        return runs.enqueue_run(keys, message, due_at)
    window = None if isinstance(single, Debounce) else single.window
    held_ms = runs.MAX_UNIQUE_MS if window is None else milliseconds("window", window)
    return runs.enqueue_run(keys, message, due_at, held_ms, prepared.lock)


def _debounce_steps(keys: Keys, single: Debounce, prepared: PreparedCall) -> Steps:
    message, seen = prepared.message, ""
    now_ms = message.enqueued_at
    for _ in range(TRIES):
        reply = yield runs.debounce_run(keys, message, prepared.lock, single.window(now_ms), now_ms, seen)
        if reply.word != "EXISTS":
            break
        seen = reply.values[0].decode()
    return reply


def _run_debounce(database: Database, prepared: PreparedCall) -> Reply:
    assert isinstance(prepared.request.single, Debounce)  # noqa: S101 - the callers have looked
    steps = _debounce_steps(database.keys, prepared.request.single, prepared)
    call = next(steps)
    while True:
        try:
            call = steps.send(database.call(call))
        except StopIteration as end:
            reply: Reply = end.value
            return reply


def _send_to_shard(database: Database, prepared: list[PreparedCall]) -> dict[str, Reply]:
    """Send calls to one shard in one round trip, debounced ones by themselves; the answers by run."""
    batches: list[tuple[Call, list[str]]] = []
    bundles: dict[str, list[Message]] = {}
    replies: dict[str, Reply] = {}
    for each in prepared:
        message = each.message
        if isinstance(each.request.single, Debounce):
            replies[message.run] = _run_debounce(database, each)
        elif each.lock or each.request.timing is not NOW:
            batches.append((_build_call(database.keys, each), [message.run]))
        else:
            bundles.setdefault(place(message.queue, message.priority), []).append(message)
    for where, messages in bundles.items():
        for start in range(0, len(messages), MAX_RUNS_PER_CALL):
            part = messages[start : start + MAX_RUNS_PER_CALL]
            batches.append((runs.enqueue_runs(database.keys, where, part), [each.run for each in part]))
    answers = database.call_all([call for call, _ in batches])
    for (_, created), answer in zip(batches, answers, strict=True):
        if isinstance(answer, JobistemerError):
            raise answer
        replies |= dict.fromkeys(created, answer)
    return replies
