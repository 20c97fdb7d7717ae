"""The flow of one step: its record is given back, or its function is called and the result written."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, get_type_hints

import msgspec

from jobistemer.core.checks import check_range, show
from jobistemer.core.errors import InvalidPayload, InvalidStep, JobistemerError, PayloadTooLarge, StepFailed
from jobistemer.core.handlers.control_errors import Fail, Retry, Snooze
from jobistemer.core.handlers.result_codec import encode_result
from jobistemer.core.handlers.step_host import Flow, StepHost, StepUpdate
from jobistemer.core.handlers.step_journal import CURRENT_STEP, RunningStep, StepJournal
from jobistemer.core.handlers.suspension import Suspended, UndoReached
from jobistemer.core.handlers.value_codec import build_plain_decoder, find_model_codec
from jobistemer.core.jobs.retries import LONGEST_DELAY_S, Delays, Exponential, RetryPolicy
from jobistemer.core.payload_json import ENCODING_ERRORS
from jobistemer.core.runs.settle import Suspension
from jobistemer.core.runs.steps import STEP, UNDO, StepRecord
from jobistemer.core.safe_text import hide_secrets

LONGEST_ERROR = 1_000
_CONTROL = (Retry, Fail, Snooze)


class StepOptions(NamedTuple):
    """The options of one step, see `Step.__call__`."""

    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    key: str | int | None = None
    undo: Callable[..., Any] | None = None

    def check(self, name: object) -> None:
        """Check the options. Raises InvalidStep."""
        if self.retry is not None and not isinstance(self.retry, Exponential | Delays):
            raise InvalidStep(
                f"step {show(name)}: retry is {show(self.retry)}, allowed are Exponential(…) and Delays(…)"
            )
        if self.timeout_s is not None:
            check_range(f"step {show(name)}: timeout_s", self.timeout_s, 0.001, LONGEST_DELAY_S, InvalidStep)
        if self.undo is not None and not callable(self.undo):
            raise InvalidStep(f"step {show(name)}: undo is {show(self.undo)}, allowed is a function")


def pop_options(kwargs: dict[str, Any]) -> StepOptions:
    """Take the options of a step out of the keyword arguments of its call."""
    return StepOptions(**{name: kwargs.pop(name) for name in StepOptions._fields if name in kwargs})


class StepFlows:
    """The flows of one attempt's steps, on the services of its worker."""

    def __init__(self, journal: StepJournal, host: StepHost) -> None:
        self.journal = journal
        self.host = host

    def load(self) -> Flow[None]:
        """Load what is on record, once."""
        if not self.journal.is_loaded:
            self.journal.load((yield ("load",)))

    def step(
        self, name: str, function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any], options: StepOptions
    ) -> Flow[Any]:
        """Return the result of a step, from its record or by calling its function. Raises as `Step.__call__`."""
        yield from self.load()
        options.check(name)
        if not callable(function):
            raise InvalidStep(f"step {show(name)} has no function to call, but {show(function)}")
        identity = self.journal.ask(name, options.key)
        codec, record = find_codec(function), self.journal.find(identity)
        if record is not None and record.done:
            value = _read_done(identity, record, codec)
            if options.undo is not None:
                self.journal.undos[identity] = (options.undo, value)
            return value
        self.check_ending()
        if record is not None and record.due_at:
            yield from self.pause(identity, record)
        return (yield from self._try(identity, record, function, (args, kwargs), options, codec))

    def _try(
        self,
        identity: str,
        record: StepRecord | None,
        function: Callable[..., Any],
        given: tuple[Any, Mapping[str, Any]],
        options: StepOptions,
        codec: Codec,
    ) -> Flow[Any]:
        started_at = record.started_at if record is not None else self.host.now_ms()
        running = RunningStep(identity, self.journal.place_of(identity), started_at, record)
        while True:
            token = CURRENT_STEP.set(running)
            try:
                value = yield ("call", function, *given, options.timeout_s)
            except _CONTROL:
                raise
            except Exception as error:  # noqa: BLE001 - the step's retry policy decides about any error of its function
                failure = error
            else:
                return (yield from self._end(running, value, options, codec))
            finally:
                CURRENT_STEP.reset(token)
            yield from self._fail(running, failure, options)

    def _end(self, running: RunningStep, value: Any, options: StepOptions, codec: Codec) -> Flow[Any]:
        encoded = _encode(running.identity, value, codec, self.host.result_bytes)
        record = StepRecord(
            STEP,
            running.asked,
            self.journal.next_place(),
            self.journal.attempt,
            running.started_at,
            self.host.now_ms(),
            msgspec.Raw(encoded or b"null"),
            tries=running.tries,
            can_undo=options.undo is not None,
        )
        # Read before it is written: a value that does not fit its annotation would fail in each attempt that reads it.
        result = _decode(running.identity, encoded, codec)
        records = self.journal.write(running.identity, record)
        yield ("record", StepUpdate(records, transaction=running.transaction or None))
        self.journal.keep(records)
        if options.undo is not None:
            self.journal.undos[running.identity] = (options.undo, result)
        return result

    def _fail(self, running: RunningStep, error: Exception, options: StepOptions) -> Flow[None]:
        """Wait until the function may be tried again. Raises the error when it may not."""
        running.tries += 1
        running.transaction = None
        now_ms, policy = self.host.now_ms(), options.retry
        delay = policy.delay_ms(running.tries, self.host.chance()) if policy is not None else None
        if delay is not None and policy is not None and policy.max_elapsed_s is not None:
            is_late = now_ms + delay - running.started_at > policy.max_elapsed_s * 1000
            delay = None if is_late else delay
        kind = type(error)
        record = StepRecord(
            STEP,
            running.asked,
            0,
            self.journal.attempt,
            running.started_at,
            error=hide_secrets(str(error))[:LONGEST_ERROR].encode("utf-8", "backslashreplace").decode(),
            error_type=f"{kind.__module__}:{kind.__qualname__}",
            tries=running.tries,
            due_at=0 if delay is None else now_ms + delay,
            cursor=running.cursor,
        )
        if delay is None:
            # Written only if the handler goes on without this step: an attempt that fails with it tries it again.
            ended = msgspec.structs.replace(record, done=self.journal.next_place(), ended_at=now_ms)
            self.journal.pending |= {running.identity: self.journal.write(running.identity, ended)[running.identity]}
            raise error
        records = self.journal.write(running.identity, record)
        if delay >= self.host.shortest_suspension_ms:
            self.suspend(
                Suspension(record.due_at, f"step {running.identity} is tried again: {record.error}", records=records)
            )
        yield ("record", StepUpdate(records))
        self.journal.keep(records)
        running.saved_cursor = running.cursor
        if delay:
            yield ("sleep", delay / 1000)

    def pause(self, identity: str, record: StepRecord) -> Flow[None]:
        """Wait until a record is due: in this slot for less than a second, else by suspending the run."""
        left = record.due_at - self.host.now_ms()
        if left >= self.host.shortest_suspension_ms:
            self.suspend(Suspension(record.due_at, f"waits in step {identity}"))
        if left > 0:
            yield ("sleep", left / 1000)

    def check_ending(self) -> None:
        """Give the run back when its worker ends: between two steps nothing is lost by it."""
        self.check_undoing()
        reason = self.host.find_stop_reason()
        if reason == "shutdown":
            self.suspend(Suspension(0, "its worker ends", is_interrupt=True))

    def check_undoing(self) -> None:
        """End the replay of a run whose steps are to be undone. Raises UndoReached."""
        if self.journal.is_undoing:
            raise UndoReached

    def undo_all(self) -> Flow[None]:
        """Call the functions that undo the steps of the run, the last one first; each is a step itself."""
        yield from self.load()
        for identity, (function, value) in reversed(self.journal.undos.items()):
            name = f":undo {identity}"
            if (record := self.journal.find(name)) is not None and record.done:
                continue
            began, place = self.host.now_ms(), self.journal.next_place()
            try:
                yield ("call", function, (value,), {}, None)
            except Exception as error:
                error.add_note(f"step {identity!r} could not be undone")
                raise
            done = self.journal.next_place()
            record = StepRecord(UNDO, place, done, self.journal.attempt, began, self.host.now_ms())
            records = self.journal.write(name, record)
            yield ("record", StepUpdate(records))
            self.journal.keep(records)

    def suspend(self, suspension: Suspension) -> None:
        """End the attempt. Raises Suspended, or UndoReached where the steps of the run are to be undone."""
        self.check_undoing()
        if not suspension.is_interrupt:
            records = {**self.journal.pending, **suspension.records}
            suspension = msgspec.structs.replace(suspension, records=records)
        self.journal.suspension = suspension
        raise Suspended(suspension)


def _read_done(identity: str, record: StepRecord, codec: Codec) -> Any:
    if record.has_failed:
        raise rebuild_error(identity, record)
    return _decode(identity, bytes(record.value), codec)


def rebuild_error(identity: str, record: StepRecord) -> StepFailed:
    """Return the error of a step that is on record as failed: `except` finds it by the class that it was raised as.

    The class is looked up among the modules that are loaded, and never imported or called.
    """
    text = f"step {identity!r} has failed, as is on record: {record.error_type.rpartition(':')[2]}: {record.error}"
    module, _, name = record.error_type.partition(":")
    kind = getattr(sys.modules.get(module), name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, JobistemerError):
        try:
            both = type(
                "StepFailed", (StepFailed, kind), {"__init__": StepFailed.__init__, "__new__": Exception.__new__}
            )
            error: StepFailed = both(text)
        except TypeError:
            return StepFailed(text)
        return error
    return StepFailed(text)


def _encode(identity: str, value: Any, codec: Codec, most: int) -> bytes:
    try:
        return encode_result(value if codec.encode is None else msgspec.Raw(codec.encode(value)), most)
    except (InvalidPayload, PayloadTooLarge, *ENCODING_ERRORS) as error:
        if inspect.iscoroutine(value):
            value.close()
        what = "a coroutine: use ctx.step_async" if inspect.isawaitable(value) else "what cannot be recorded"
        raise InvalidStep(f"step {identity!r} was done, but it has returned {what}: {error}") from None


def _decode(identity: str, encoded: bytes, codec: Codec) -> Any:
    try:
        return codec.decode(encoded or b"null")
    except ENCODING_ERRORS as error:
        raise InvalidStep(
            f"the result of step {identity!r} does not fit the annotation of its function: {error}"
        ) from None


class Codec(NamedTuple):
    """The JSON of the results of a step's function. encode: only where its annotation holds models of pydantic."""

    decode: Callable[[bytes], Any] = msgspec.json.Decoder().decode
    encode: Callable[[Any], bytes] | None = None


ANY = Codec()


def find_codec(function: Callable[..., Any]) -> Codec:
    """Return how the results of a step's function are written and read, by its annotation."""
    if "return" not in getattr(function, "__annotations__", ()):
        return ANY
    try:
        return _build_codec(function)
    except (*ENCODING_ERRORS, RuntimeError, NameError):
        # It cannot be hashed, or its type has no form in JSON: then the result is what JSON says.
        return ANY


@lru_cache(maxsize=250)
def _build_codec(function: Callable[..., Any]) -> Codec:
    annotation = get_type_hints(function)["return"]
    models = find_model_codec(annotation, "$")
    if models is None:
        return Codec(build_plain_decoder(annotation).decode)
    return Codec(models.decode, lambda value: bytes(models.encode(value)))
