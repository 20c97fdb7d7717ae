"""Handles: of a task, to call or enqueue it; and of a run, to read its state and wait for its result."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, ParamSpec, TypeVar

from jobistemer.app.producer import Producer
from jobistemer.app.request import Debounce, Request, Throttle, TypedRequest, Unique, build_request
from jobistemer.app.waiting import wait_for_end
from jobistemer.app.worker_resources import bind_call, check_dependencies_given
from jobistemer.core.durations import Seconds
from jobistemer.core.errors import RunFailed, UnknownRun
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import TERMINAL_RUNS, RunState
from jobistemer.core.text import BY_HAND
from jobistemer.runtime.offload import offload, twin
from jobistemer.store.async_database import AsyncDatabase
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import records
from jobistemer.store.reads.run_watcher import RunUpdate, RunWatcher
from jobistemer.store.server.connection import LONGEST_PAUSE_S

P = ParamSpec("P")
R = TypeVar("R")


class RunHandle(Generic[R]):
    """The handle of one run: read its state, wait for its result, cancel it.

    shard: the id by which its shard is found; None when it is not known, and all shards are searched.
    existing: the run was there before, since its call is unique, throttled or debounced; no new run was created.
    """

    def __init__(
        self, namespace: Namespace, run_id: str, shard: str | None, decode: Callable[[bytes], R], *, existing: bool
    ) -> None:
        self.id = run_id
        self.existing = existing
        self._namespace = namespace
        self._shard = shard
        self._decode = decode
        self._found_database: Database | None = None

    def __repr__(self) -> str:
        return f"<run {self.id}{', which was there already' if self.existing else ''}>"

    def record(self) -> RunRecord:
        """Return the record of the run. Raises UnknownRun when it never was or its retention is over."""
        return _require(self.id, records.find_run(self._database(), self.id))

    def state(self) -> RunState:
        """Return the state of the run. Raises UnknownRun."""
        return _require(self.id, records.find_record(self._database(), self.id)).state

    async def record_async(self) -> RunRecord:
        """Return the record like `record`, awaited."""
        database, run = await self._find_async()
        command = records.due_command(database.keys, run)
        return run if command is None else records.add_due_time(run, await database.ask(*command))

    async def _find_async(self) -> tuple[AsyncDatabase, RunRecord]:
        # In a thread where the server has to be asked: for the number of shards, or for the shard of the run.
        is_known = self._found_database is not None or (self._shard is not None and self._namespace.is_connected)
        found = self._database() if is_known else await offload(self._database)
        database = self._namespace.async_shard(found)
        answer = await database.ask(*records.run_command(database.keys, self.id))
        return database, _require(self.id, records.read_run(self.id, answer))

    async def state_async(self) -> RunState:
        """Return the state like `state`, awaited."""
        return (await self._find_async())[1].state

    def result(self, timeout: float | None = None) -> R:
        """Wait for the run to end and return its result, of the type that the task declares.

        timeout: seconds; None waits for ever. Raises ResultTimeout, RunFailed when the run ended without a result, or
        UnknownRun.
        """
        with wait_for_end(self.id, timeout) as pauses:
            for pause in pauses:
                record = _require(self.id, records.find_record(self._database(), self.id))
                if record.state in TERMINAL_RUNS:
                    return self._result_or_raise(record)
                self._namespace.sleeper.sleep(pause)
        raise AssertionError("unreachable")

    async def result_async(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - the same meaning as in `result`
        """Return the result like `result`, awaited. Any number of coroutines may wait at a time, on few connections."""
        with (
            self._namespace.server.waiting_for_result() as longest_pause,
            wait_for_end(self.id, timeout, longest_pause) as pauses,
        ):
            for pause in pauses:
                _, record = await self._find_async()
                if record.state in TERMINAL_RUNS:
                    return self._result_or_raise(record)
                await self._namespace.sleeper.sleep_async(pause)
        raise AssertionError("unreachable")

    def cancel(self, reason: str = BY_HAND) -> bool:
        """Cancel the run in any state; a worker that executes it learns of it within a second.

        Returns False when the run had ended before. Raises UnknownRun, or Conflict when the run changed its state at
        each try.
        """
        from jobistemer.control.cancel import cancel_run  # noqa: PLC0415 - few ask for it; see docs/decisions/0003

        return cancel_run(self._namespace, self.id, reason) != "ended"

    cancel_async = twin(cancel)

    def retry(self) -> RunHandle[R]:
        """Give the work of this run, which ended without success, to a new run with all its attempts.

        Returns the handle of the new run; the records of the two name each other. Raises UnknownRun, Conflict when the
        run has not ended or was retried before, InvalidInput when it succeeded, DuplicateRun or QueueClosed.
        """
        from jobistemer.control.retry import retry_run  # noqa: PLC0415 - as `cancel_run`

        return RunHandle(self._namespace, retry_run(self._namespace, self.id), None, self._decode, existing=False)

    retry_async = twin(retry)

    def watch(self, *, every: float = LONGEST_PAUSE_S) -> Iterator[RunUpdate]:
        """Iterate over the news of the run until it has ended: log lines, progress and states. Raises UnknownRun.

        every: seconds between two looks.
        """
        watcher = RunWatcher(self._database(), self.id)
        while True:
            yield from watcher.poll()
            _require(self.id, watcher.record)
            if watcher.is_over:
                return
            self._namespace.sleeper.sleep(every)

    async def watch_async(self, *, every: float = LONGEST_PAUSE_S) -> AsyncGenerator[RunUpdate, None]:
        """Iterate over the news of the run like `watch`, awaited."""
        watcher = RunWatcher(await offload(self._database), self.id)
        while True:
            for update in await offload(lambda: list(watcher.poll())):
                yield update
            _require(self.id, watcher.record)
            if watcher.is_over:
                return
            await self._namespace.sleeper.sleep_async(every)

    def _database(self) -> Database:
        if self._found_database is None and self._shard is not None:
            self._found_database = self._namespace.for_id(self._shard)
        if self._found_database is None:
            from jobistemer.store.reads.jobs import locate_record  # noqa: PLC0415 - as `cancel_run`

            located = locate_record(self._namespace.shards, self.id)
            self._found_database = located[0] if located else None
        # A run that is on no shard may be created later, so nothing is remembered of it.
        return self._found_database or self._namespace.shards[0]

    def _result_or_raise(self, record: RunRecord) -> R:
        if record.state is RunState.SUCCEEDED:
            return self._decode(bytes(record.result))
        raise RunFailed(
            f"run {self.id} of task {record.handler!r} ended {record.state}: {record.error or 'no error given'}",
            run=self.id,
            state=record.state,
            attempts=record.attempts,
            error=record.error,
        )


def _require(run_id: str, record: RunRecord | None) -> RunRecord:
    if record is None:
        raise UnknownRun(f"run {run_id:.100} is not on record: it never was, or its retention is over")
    return record


class TaskHandle(Generic[P, R]):
    """A declared task: call it to run it in this process, `enqueue` it to have a worker run it."""

    def __init__(self, handler: Handler, producer: Producer, request: Request) -> None:
        # It copies the attributes of an object that can be called; those below go before them.
        functools.update_wrapper(self, handler.function)
        self.handler = handler
        self._producer = producer
        self._request = request

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    @property
    def name(self) -> str:
        """Return the name by which workers find the task."""
        return self.handler.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function in this process; it gets a context of placeholder values unless one is given.

        Dependencies have to be given by name: no worker provides them here. Raises InvalidInput.
        """
        handler = self.handler
        if handler.dependencies:
            check_dependencies_given(handler, args, kwargs)
        if handler.context_parameter is None or any(isinstance(each, Context) for each in (*args, *kwargs.values())):
            return handler.function(*args, **kwargs)
        arguments = bind_call(handler, args, kwargs)
        now = datetime.now(UTC)
        context = Context(
            run="run_0", attempt=0, attempt_id="", handler=handler.name, due_at=now, started_at=now, fencing_token=1
        )
        return handler.function(**arguments, **{handler.context_parameter: context})

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Enqueue a call with these arguments. Returns the handle of the run.

        Raises InvalidPayload with the path of the argument that does not fit, PayloadTooLarge, QueueClosed or
        NotConnected.
        """
        sent = self._producer.send(self.request(*args, **kwargs))
        decode = self.handler.decode_result
        return RunHandle(self._producer.namespace, sent.run, sent.shard, decode, existing=sent.existing)

    async def enqueue_async(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Enqueue a call like `enqueue`, awaited."""
        sent = await self._producer.send_async(self.request(*args, **kwargs))
        decode = self.handler.decode_result
        return RunHandle(self._producer.namespace, sent.run, sent.shard, decode, existing=sent.existing)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Request:
        """Return the call as a value, for `app.enqueue_many` and transactions. Raises InvalidPayload."""
        made, payload = self._request, self.handler.encode(args, kwargs)
        return TypedRequest(
            made.task, payload, made.options, made.timing, made.single, made.metadata, made.headers, made.run_id
        )

    def options(
        self,
        *,
        delay: Seconds | None = None,
        at: datetime | None = None,
        expires: Seconds | datetime | None = None,
        unique: str | Unique = "",
        throttle: Seconds | Throttle | None = None,
        debounce: Seconds | Debounce | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Seconds | None = None,
        max_retries: int | None = None,
        run_id: str = "",
        **options: Any,
    ) -> TaskHandle[P, R]:
        """Return the task with options for its next call: `send.options(delay=5).enqueue(…)`.

        delay, at, expires: see Timing. unique, throttle, debounce: at most one of the three. metadata, headers: texts
        that the handler finds in its context. timeout: the limit of one attempt, as seconds or a timedelta.
        max_retries: the number of retries by the retry policy that applies. run_id: the id of the run, made by
        `new_run_id()`: a call that is sent again with it finds its own run. options: see Options.
        Raises InvalidInput or InvalidDefinition.
        """
        request = build_request(
            self.name,
            delay=delay,
            at=at,
            expires=expires,
            unique=unique,
            throttle=throttle,
            debounce=debounce,
            metadata=metadata,
            headers=headers,
            timeout=timeout,
            max_retries=max_retries,
            run_id=run_id,
            **options,
        )
        return TaskHandle(self.handler, self._producer, request)
