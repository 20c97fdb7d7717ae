"""The way of a call from a request to a run in Redis.

A call creates one run, however often the client library sends it: the run id is chosen here, before the first try.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from jobistemer.app.debounce import run_debounce, run_debounce_async
from jobistemer.app.enqueue_hooks import AddHeaders, enter_enqueue_hooks
from jobistemer.app.request import NOW, Debounce, Request, TypedRequest, Unique, check_request, check_texts, lock_name
from jobistemer.core.checks import check_name
from jobistemer.core.durations import milliseconds
from jobistemer.core.errors import InvalidInput, JobistemerError, QueueClosed
from jobistemer.core.handlers.handler import Handler, check_encoded_payload, encode_payload
from jobistemer.core.handlers.hooks import Hooks
from jobistemer.core.jobs.options import Options, complete_options
from jobistemer.core.runs.message import EMPTY_PAYLOAD, Message, check_readable, drop_defaults, to_message_fields
from jobistemer.core.sizes import DEFAULT_SIZES, Sizes
from jobistemer.runtime.hooks import call_hooks
from jobistemer.runtime.offload import offload
from jobistemer.store.calls import runs
from jobistemer.store.calls.runs import MAX_RUNS_PER_CALL
from jobistemer.store.database import CLOCK_MAX_AGE_S, Database, compare_identity
from jobistemer.store.keys import Keys, place
from jobistemer.store.namespace import Namespace
from jobistemer.store.scripts import Reply, ScriptCall

BATCH = 1_000
"""How many runs `send_many` puts into one round trip."""
CACHE_SIZE = 1_000
"""How many sets of options a producer remembers the message fields of."""
LONG_SILENCE_S = 300.0
"""After so many seconds without a reply, the server is asked for its time before a call is made."""
FieldsKey = tuple[str, bool, Options]
"""What the constant fields of a message follow from: its task, whether that is known here, and options."""

_NO_HOOKS: nullcontext[None] = nullcontext()


class SentCall(NamedTuple):
    """A call that has been enqueued.

    task: its name. run: the id of the run that stands for it. shard: the id by which the shard of the run is found.
    existing: the run was there before, since the call is unique, throttled or debounced.
    """

    task: str
    run: str
    shard: str
    existing: bool


class PreparedCall(NamedTuple):
    """A call that is ready to be sent.

    lock: the name of its unique lock, empty for none. shard: the id by which its shard is found.
    """

    request: Request
    message: Message
    lock: str
    shard: str


class Producer:
    """The sender of calls: checks requests, builds messages and has the server create runs.

    handlers: the tasks of the app by name, which know the types of their payloads. A task that is not among them can be
    enqueued too; its payload is checked by the worker.
    """

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
        # Calls repeat their options, so the fields that follow from options are computed once.
        self._fields: dict[FieldsKey, dict[str, Any]] = {}

    def send(self, request: Request) -> SentCall:
        """Enqueue one call, as a rule in one round trip. Raises what `prepare` raises, QueueClosed or NotConnected."""
        namespace, hooks = self.namespace, self._hooks.enqueueing
        with enter_enqueue_hooks(hooks) if hooks else _NO_HOOKS as add_headers:
            # Replies correct the clock. After a long silence there was none, and this machine may have slept.
            silent = namespace.clock.age_s > LONG_SILENCE_S
            now_ms = namespace.read_clock() if silent else namespace.clock.now_ms()
            prepared = self._prepare(request, now_ms, add_headers)
            database = namespace.only_shard or namespace.for_id(prepared.shard)
            if silent:
                compare_identity(database)
            if isinstance(request.single, Debounce):
                reply = run_debounce(database, request.single, prepared.message, prepared.lock)
            else:
                reply = database.call(_build_call(database.keys, prepared))
            return self._finish(prepared, reply)

    async def send_async(self, request: Request) -> SentCall:
        """Enqueue one call like `send`, awaited."""
        namespace, hooks = self.namespace, self._hooks.enqueueing
        if not namespace.is_connected:
            await offload(namespace.connect)
        with enter_enqueue_hooks(hooks) if hooks else _NO_HOOKS as add_headers:
            # Unlike a plain call, an awaited one never asks for the time along with its script, so it asks earlier.
            silent = namespace.clock.age_s > CLOCK_MAX_AGE_S
            now_ms = (
                await namespace.async_shard(namespace.settings).read_clock() if silent else namespace.clock.now_ms()
            )
            prepared = self._prepare(request, now_ms, add_headers)
            database = namespace.async_shard(namespace.for_id(prepared.shard))
            if silent:
                await database.compare_identity()
            if isinstance(request.single, Debounce):
                reply = await run_debounce_async(database, request.single, prepared.message, prepared.lock)
            else:
                reply = await database.call(_build_call(database.keys, prepared))
            return self._finish(prepared, reply)

    def send_many(self, requests: Iterable[Request]) -> Iterator[SentCall]:
        """Enqueue many calls in their order, a thousand a round trip.

        A batch is prepared and sent when the iterator reaches it, so what is raised for a call leaves the runs of
        earlier batches in place. Raises what `send` raises.
        """
        waiting = iter(requests)
        prepare = self._prepare_with_hooks if self._hooks.enqueueing else self._prepare
        while batch := list(islice(waiting, BATCH)):
            silent = self.namespace.clock.age_s > LONG_SILENCE_S
            now_ms = self._now_ms()
            prepared = [prepare(request, now_ms) for request in batch]
            by_shard: defaultdict[Database, list[PreparedCall]] = defaultdict(list)
            for each in prepared:
                by_shard[self.namespace.for_id(each.shard)].append(each)
            replies: dict[str, Reply] = {}
            for database, part in by_shard.items():
                if silent:
                    compare_identity(database)
                replies |= _send_to_shard(database, part)
            for each in prepared:
                yield self._finish(each, replies[each.message.run])

    def prepare(self, request: Request, keys: Keys | None = None) -> tuple[Message, ScriptCall]:
        """Return the message of a request and the one call that creates its run; nothing is sent.

        keys: of the shard that the run is to be on; a call with a unique key goes to the shard of the key instead.
        Raises InvalidName, InvalidPayload, PayloadTooLarge or InvalidInput for a request that cannot be enqueued.
        """
        if isinstance(request.single, Debounce):
            raise InvalidInput(f"a debounced call of {request.task!r} cannot be part of a transaction")
        prepared = self._prepare_with_hooks(request, self._now_ms())
        if keys is None or request.single is not None:
            keys = self.namespace.for_id(prepared.shard).keys
        return prepared.message, _build_call(keys, prepared)

    def _now_ms(self) -> int:
        clock = self.namespace.clock
        return self.namespace.read_clock() if clock.age_s > LONG_SILENCE_S else clock.now_ms()

    def _prepare_with_hooks(self, request: Request, now_ms: int) -> PreparedCall:
        hooks = self._hooks.enqueueing
        with enter_enqueue_hooks(hooks) if hooks else _NO_HOOKS as add_headers:
            return self._prepare(request, now_ms, add_headers)

    def _prepare(self, request: Request, now_ms: int, add_headers: AddHeaders | None = None) -> PreparedCall:
        """Check a request and build its message; now_ms: server time."""
        if type(request) is not TypedRequest:
            check_request(request)
        handler, payload, lock = self._handlers.get(request.task), request.payload, ""
        key = (request.task, handler is not None, request.options)
        if (fields := self._fields.get(key)) is None:
            fields = self._build_fields(key, handler)
        if request.single is not None or request.timing.expires or request.metadata or request.headers:
            lock = lock_name(request.task, request.single) if request.single else ""
            fields = fields | _build_rare_fields(request, lock, now_ms)
        if type(request) is not TypedRequest:
            payload = self._encode_payload(request, handler)
        # msgspec leaves out a field that holds the very object which is its default; an equal one would be sent.
        payload = EMPTY_PAYLOAD if payload == EMPTY_PAYLOAD else payload
        # The new id says when: 26 bytes less of each waiting run.
        run, enqueued_at = (request.run_id, now_ms) if request.run_id else (runs.new_run_id(now_ms), 0)
        message = Message(run, request.task, enqueued_at, payload, **fields)
        if add_headers is not None:
            message = add_headers(message)
        shard = lock or message.run
        # All runs under one limit are on one shard, where they can be counted in one step. A lock goes before a limit.
        if not lock and handler is not None and self.namespace.only_shard is None and handler.is_limited:
            shard = self._find_limit(handler, message) or shard
        return PreparedCall(request, message, lock, shard)

    def _encode_payload(self, request: Request, handler: Handler | None) -> msgspec.Raw:
        most = self._sizes.payload_bytes
        if isinstance(request.payload, msgspec.Raw):
            return check_encoded_payload(request.task, request.payload, most)
        if handler is not None:
            return handler.encode_arguments(request.payload)
        return encode_payload(request.task, request.payload, most)

    def _find_limit(self, handler: Handler, message: Message) -> str:
        return handler.shard_key(message) if len(self.namespace.shards) > 1 else ""

    def _build_fields(self, key: FieldsKey, handler: Handler | None) -> dict[str, Any]:
        task, _, options = key
        check_name("task", task)
        chosen = complete_options(self._defaults, handler.options if handler else Options(), options)
        # Options may differ with each call, such as a timeout that is computed.
        if len(self._fields) >= CACHE_SIZE:
            self._fields.clear()
        fields = drop_defaults(**to_message_fields(chosen))
        # A message that cannot be read is a run that is lost: what a worker could not read is refused here.
        check_readable(Message(runs.new_run_id(0), task, 0, **fields))
        self._fields[key] = fields
        return fields

    def _finish(self, prepared: PreparedCall, reply: Reply) -> SentCall:
        """Read the reply to a call and tell the hooks. Raises QueueClosed."""
        message, word = prepared.message, reply.word
        if word == "CLOSED":
            raise QueueClosed(
                f"queue {message.queue!r} is being drained and takes no new runs: {message.handler!r} was not "
                f"enqueued; use another queue, or open it again with `jobistemer queue open {message.queue}`"
            )
        if word == "CREATED" and self._hooks.enqueued:
            call_hooks(self._hooks.enqueued, message)
        if word in ("EXISTS", "MOVED"):
            return SentCall(message.handler, reply.values[0].decode(), prepared.shard, existing=True)
        return SentCall(message.handler, message.run, prepared.shard, existing=False)


def _build_rare_fields(request: Request, lock: str, now_ms: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"expires_at": request.timing.expires_at(now_ms)}
    # A lock with a window of its own is held whether the run has ended or not, so the message does not name it.
    if isinstance(request.single, Unique) and request.single.window is None:
        fields |= {"unique": lock, "unique_queued": request.single.until == "started"}
    if request.metadata:
        fields["metadata"] = check_texts("metadata", request.metadata)
    if request.headers:
        fields["headers"] = check_texts("headers", request.headers)
    return fields


def _build_call(keys: Keys, prepared: PreparedCall) -> ScriptCall:
    """Build the call that creates the run of a prepared call, any but a debounced one."""
    request, message = prepared.request, prepared.message
    due_at = 0 if request.timing is NOW else request.timing.due_at(message.enqueue_ms)
    if request.single is None or isinstance(request.single, Debounce):
        return runs.enqueue_run(keys, message, due_at)
    window = request.single.window
    held_ms = runs.MAX_UNIQUE_MS if window is None else milliseconds("window", window)
    return runs.enqueue_run(keys, message, due_at, held_ms, prepared.lock)


def _send_to_shard(database: Database, prepared: list[PreparedCall]) -> dict[str, Reply]:
    """Send calls to one shard in one round trip, each debounced call in its own. Returns the replies by run id.

    Plain calls for the same queue and priority share a script call. Raises the first error that the server answered.
    """
    batches: list[tuple[ScriptCall, list[str]]] = []
    plain: dict[str, list[Message]] = {}
    replies: dict[str, Reply] = {}
    for each in prepared:
        message, single = each.message, each.request.single
        if isinstance(single, Debounce):
            replies[message.run] = run_debounce(database, single, message, each.lock)
        elif each.lock or each.request.timing is not NOW:
            batches.append((_build_call(database.keys, each), [message.run]))
        else:
            plain.setdefault(place(message.queue, message.priority), []).append(message)
    for where, messages in plain.items():
        for start in range(0, len(messages), MAX_RUNS_PER_CALL):
            part = messages[start : start + MAX_RUNS_PER_CALL]
            batches.append((runs.enqueue_runs(database.keys, where, part), [each.run for each in part]))
    answers = database.call_all([call for call, _ in batches])
    for (_, created), answer in zip(batches, answers, strict=True):
        if isinstance(answer, JobistemerError):
            raise answer
        replies |= dict.fromkeys(created, answer)
    return replies
