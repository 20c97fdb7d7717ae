"""Enqueueing: from a call to a run in Redis, once, however often the client library sends it."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from jobistemer.app.enqueue_hooks import Stamping, stamping
from jobistemer.app.request import NOW, Debounce, Request, Unique, lock_of
from jobistemer.core import ids
from jobistemer.core.durations import milliseconds
from jobistemer.core.errors import InvalidInput, JobistemerError, QueueClosed
from jobistemer.core.handlers.handler import Handler, encode_payload
from jobistemer.core.handlers.hooks import Hooks
from jobistemer.core.jobs.options import Options, complete
from jobistemer.core.jobs.retries import with_retries
from jobistemer.core.names import checked_name
from jobistemer.core.runs.message import EMPTY_PAYLOAD, Message, differing, wire_options
from jobistemer.core.sizes import DEFAULT_SIZES, Sizes
from jobistemer.runtime.hooks import tell
from jobistemer.store.calls import enqueueing, runs
from jobistemer.store.calls.enqueueing import BUNDLE
from jobistemer.store.clock import age_s
from jobistemer.store.database import CORRECT_S, Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.namespace import Namespace
from jobistemer.store.scripts import Call, Reply

BATCH = 1_000
"""How many runs `send_many` puts into one round trip."""
KEPT = 1_000
LONG_SILENCE_S = 300.0
TRIES = 5
"""How often a debounced call looks again, when others keep changing what it saw."""

Steps = Generator[Call, Reply, Reply]
"""Calls to be made in turn; each is answered before the next is known. Returns the last answer."""


class Sent(NamedTuple):
    """A call that has been made: its task, the run made for it, what its shard is found by, what the server said."""

    task: str
    run: str
    shard: str
    reply: Reply


class _Made(NamedTuple):
    """A call ready to be sent; lock is the name of its unique lock, limit that of the limit its shard is found by."""

    request: Request
    message: Message
    lock: str
    limit: str = ""

    @property
    def shard(self) -> str:
        return self.lock or self.limit or self.message.run

    def accepted(self, reply: Reply) -> Sent:
        """The call, made. Raises QueueClosed when the server said so."""
        if reply.word == "CLOSED":
            queue = self.message.queue
            raise QueueClosed(
                f"queue {queue!r} is being drained and takes no new runs: {self.request.task!r} was not enqueued; "
                f"use another queue, or open it again with `jobistemer queue open {queue}`"
            )
        return Sent(self.request.task, self.message.run, self.shard, reply)



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

    def send(self, request: Request) -> Sent:
        """Enqueue one call, as a rule in one round trip. Raises what `prepare` raises, or QueueClosed."""
        if self._hooks.enqueueing:
            with stamping(self._hooks.enqueueing) as stamp:
                return self._send(request, stamp)
        return self._send(request)

    def _send(self, request: Request, stamp: Stamping | None = None) -> Sent:
        made = self._made(request, self._now_ms(), stamp)
        database = self.namespace.for_id(made.shard)
        if not isinstance(request.single, Debounce):
            return self._told(made, database.call(_call(database.keys, made)))
        return self._told(made, _walked(database, made))

    async def send_async(self, request: Request) -> Sent:
        """The same, awaited."""
        if self._hooks.enqueueing:
            with stamping(self._hooks.enqueueing) as stamp:
                return await self._send_async(request, stamp)
        return await self._send_async(request)

    async def _send_async(self, request: Request, stamp: Stamping | None = None) -> Sent:
        if age_s(self.namespace.clock) > CORRECT_S:
            await self.namespace.read_clock_async()
        made = self._made(request, self.namespace.clock.now_ms(), stamp)
        database = self.namespace.for_id_async(made.shard)
        if not isinstance(request.single, Debounce):
            return self._told(made, await database.call(_call(database.keys, made)))
        steps = _debounced(database.keys, request.single, made)
        call = next(steps)
        while True:
            try:
                call = steps.send(await database.call(call))
            except StopIteration as end:
                return self._told(made, end.value)

    def send_many(self, requests: Iterable[Request]) -> Iterator[Sent]:
        """Enqueue many calls in order, a thousand a round trip; a batch is refused or sent when it is reached."""
        waiting, make = iter(requests), self._stamped if self._hooks.enqueueing else self._made
        while batch := list(islice(waiting, BATCH)):
            now = self._now_ms()
            made = [make(request, now) for request in batch]
            replies: dict[str, Reply] = {}
            by_shard: defaultdict[Database, list[_Made]] = defaultdict(list)
            for each in made:
                by_shard[self.namespace.for_id(each.shard)].append(each)
            for database, part in by_shard.items():
                replies |= _send_to(database, part)
            for each in made:
                yield self._told(each, replies[each.message.run])

    def prepare(self, request: Request, keys: Keys | None = None) -> tuple[Message, Call]:
        """The message of a request and the one call that creates its run; nothing is sent.

        keys: of the shard that it is to be on, unless it has a unique key.
        Raises InvalidName, InvalidPayload, PayloadTooLarge or InvalidInput for what cannot be enqueued so.
        """
        if isinstance(request.single, Debounce):
            raise InvalidInput(f"a debounced call of {request.task!r} cannot be part of a transaction")
        made = (self._stamped if self._hooks.enqueueing else self._made)(request, self._now_ms())
        if keys is None or request.single is not None:
            keys = self.namespace.for_id(made.shard).keys
        return made.message, _call(keys, made)

    def _now_ms(self) -> int:
        # Calls correct the clock along the way. After a long silence there was none, and the machine may have slept.
        if age_s(self.namespace.clock) > LONG_SILENCE_S:
            return self.namespace.read_clock()
        return self.namespace.clock.now_ms()

    def _told(self, made: _Made, reply: Reply) -> Sent:
        sent = made.accepted(reply)
        if self._hooks.enqueued and reply.word == "CREATED":
            tell(self._hooks.enqueued, made.message)
        return sent

    def _stamped(self, request: Request, now: int) -> _Made:
        with stamping(self._hooks.enqueueing) as stamp:
            return self._made(request, now, stamp)

    def _made(self, request: Request, now: int, stamp: Stamping | None = None) -> _Made:
        if not isinstance(request, Request):
            raise InvalidInput(f"a call is {request!r:.80}, allowed is what task.request(…) or app.request(…) gives")
        handler = self._handlers.get(request.task)
        fields, lock = self._fields_of(request, handler), ""
        if request.single is not None or request.timing.expires or request.metadata or request.headers:
            lock = lock_of(request.task, request.single) if request.single else ""
            fields = fields | _rare_fields(request, lock, now)
        payload = request.payload
        if not isinstance(payload, msgspec.Raw):
            most = self._sizes.payload_bytes
            payload = handler.checked(payload) if handler else encode_payload(request.task, payload, most)
        run = ids.enqueued_run_id(now, secrets.randbits(74))
        # The very object that is the default is left out on the wire; an equal one would be sent.
        sent = EMPTY_PAYLOAD if payload == EMPTY_PAYLOAD else payload
        message = Message(run, request.task, now, sent, **fields)
        if stamp is not None:
            message = stamp(message)
        many = handler is not None and handler.is_limited and len(self.namespace.shards) > 1
        return _Made(request, message, lock, handler.gathered_by(message) if many and handler else "")

    def _fields_of(self, request: Request, handler: Handler | None) -> dict[str, Any]:
        task, options = request.task, request.options
        key = (task, handler is not None, options, request.max_retries)
        if (known := self._fields.get(key)) is not None:
            return known
        checked_name("task", task)
        chosen = complete(self._defaults, handler.options if handler else Options(), options)
        if request.max_retries is not None:
            chosen = msgspec.structs.replace(chosen, retry=with_retries(chosen.retry, request.max_retries))
        if len(self._fields) >= KEPT:
            self._fields.clear()
        fields = self._fields[key] = differing(**wire_options(chosen))
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


def _call(keys: Keys, made: _Made) -> Call:
    message, single = made.message, made.request.single
    due_at = made.request.timing.due_at(message.enqueued_at)
    if single is None:
        return runs.enqueue_run(keys, message, due_at)
    window = None if isinstance(single, Debounce) else single.window
    held_ms = runs.LONGEST_UNIQUE_MS if window is None else milliseconds("window", window)
    return runs.enqueue_run(keys, message, due_at, held_ms, made.lock)


def _debounced(keys: Keys, single: Debounce, made: _Made) -> Steps:
    message, seen = made.message, ""
    now_ms = message.enqueued_at
    for _ in range(TRIES):
        reply = yield enqueueing.debounce_run(keys, message, made.lock, single.window(now_ms), now_ms, seen)
        if reply.word != "EXISTS":
            break
        seen = reply.values[0].decode()
    return reply


def _walked(database: Database, made: _Made) -> Reply:
    assert isinstance(made.request.single, Debounce)  # noqa: S101 - the callers have looked
    steps = _debounced(database.keys, made.request.single, made)
    call = next(steps)
    while True:
        try:
            call = steps.send(database.call(call))
        except StopIteration as end:
            reply: Reply = end.value
            return reply


def _send_to(database: Database, made: list[_Made]) -> dict[str, Reply]:
    """Send calls to one shard in one round trip, debounced ones by themselves; the answers by run."""
    parcels: list[tuple[Call, list[str]]] = []
    bundles: dict[str, list[Message]] = {}
    replies: dict[str, Reply] = {}
    for each in made:
        message = each.message
        if isinstance(each.request.single, Debounce):
            replies[message.run] = _walked(database, each)
        elif each.lock or each.request.timing is not NOW:
            parcels.append((_call(database.keys, each), [message.run]))
        else:
            bundles.setdefault(place(message.queue, message.priority), []).append(message)
    for where, messages in bundles.items():
        for start in range(0, len(messages), BUNDLE):
            part = messages[start : start + BUNDLE]
            parcels.append((enqueueing.enqueue_runs(database.keys, where, part), [each.run for each in part]))
    answers = database.call_all([call for call, _ in parcels])
    for (_, created), answer in zip(parcels, answers, strict=True):
        if isinstance(answer, JobistemerError):
            raise answer
        replies |= dict.fromkeys(created, answer)
    return replies
