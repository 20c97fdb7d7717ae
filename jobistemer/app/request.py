"""A call as a value: its task and payload, the time of its start, and the rules that limit its number."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha1
from time import time_ns
from typing import Any, Literal

import msgspec

from jobistemer.core.checks import explain_unknown, is_encodable, show
from jobistemer.core.durations import LONGEST_WAIT_S, LONGEST_WINDOW_S, Seconds, instant_ms, milliseconds
from jobistemer.core.errors import InvalidInput
from jobistemer.core.ids import is_run_id
from jobistemer.core.jobs.options import ALIASES, NO_OPTIONS, OPTION_NAMES, Options, read_options
from jobistemer.core.payload_json import read_object
from jobistemer.store.calls.runs import new_run_id as make_run_id

MAX_TEXT_BYTES = 4_096


class Timing(msgspec.Struct, frozen=True):
    """The time of a call: its earliest start, after a delay or at an instant, and its latest.

    delay: seconds or a timedelta. at: a timezone-aware datetime. At most one of the two, and at most a century ahead;
    milliseconds count. expires: seconds or a timedelta from now, or an instant: a run that has not started by then is
    ended as canceled and not executed. Raises InvalidInput.
    """

    delay: Seconds | None = None
    at: datetime | None = None
    expires: Seconds | datetime | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.at is not None:
            raise InvalidInput(f"delay is {show(self.delay)} and at is {show(self.at)}: give one of them")
        # Delay and expiry both count from now, so they can be compared here. The instant of `at` can only be compared
        # with them when the call is enqueued, by the time of the server.
        if self.at is None:
            self.due_at(0)
        else:
            instant_ms("at", self.at)
        expires_at = self.expires_at(0)
        if self.delay is not None and not isinstance(self.expires, datetime) and 0 < expires_at <= self.due_at(0):
            raise InvalidInput(f"expires is {show(self.expires)} and delay is {show(self.delay)}: it would never start")

    def due_at(self, now_ms: int) -> int:
        """Return the Unix milliseconds of the earliest start; 0 for at once. Raises InvalidInput."""
        if self.at is not None:
            at = instant_ms("at", self.at)
            if at - now_ms > LONGEST_WAIT_S * 1000:
                raise InvalidInput(f"at is {self.at}, allowed are at most {LONGEST_WAIT_S} seconds from now")
            return at if at > now_ms else 0
        delay = milliseconds("delay", self.delay, most_s=LONGEST_WAIT_S) if self.delay is not None else 0
        return now_ms + delay if delay else 0

    def expires_at(self, now_ms: int) -> int:
        """Return the Unix milliseconds after which the run is no longer started; 0 for never. Raises InvalidInput."""
        if self.expires is None:
            return 0
        if isinstance(self.expires, datetime):
            # 0 stands for never: an instant before 1970 is over, like any other in the past.
            return max(1, instant_ms("expires", self.expires))
        return now_ms + milliseconds("expires", self.expires, least=1)


class Unique(msgspec.Struct, frozen=True):
    """The rule "at most one run of a task for this key": another call gets the handle of the existing run.

    until: the key is free again when the run has `ended` (the default), or already when it has `started`.
    window: instead, the key is taken for so many seconds after the call, whether the run has ended or not.
    """

    key: str
    until: Literal["ended", "started"] = "ended"
    window: Seconds | None = None

    def __post_init__(self) -> None:
        check_key("unique", self.key)
        if self.until not in ("ended", "started"):
            raise InvalidInput(f"unique until {show(self.until)}: allowed are 'ended' and 'started'")
        if self.window is not None:
            milliseconds("unique window", self.window, least=1)


class Throttle(msgspec.Struct, frozen=True):
    """The rule "at most one run of a task in `window` seconds": later calls get the handle of the first.

    key: the rule counts for each key on its own.
    """

    window: Seconds
    key: str = ""

    def __post_init__(self) -> None:
        check_key("throttle key", self.key)
        milliseconds("throttle window", self.window, least=1)


class Debounce(msgspec.Struct, frozen=True):
    """The rule "one run for many calls": it starts after `wait` seconds without a call, with the last payload.

    longest: it starts at the latest so many seconds after the first call. key: the rule counts for each key on its own.
    """

    wait: Seconds
    longest: Seconds | None = None
    key: str = ""

    def __post_init__(self) -> None:
        check_key("debounce key", self.key)
        wait = milliseconds("debounce wait", self.wait, least=1)
        if self.longest is not None and milliseconds("debounce longest", self.longest, least=1) < wait:
            raise InvalidInput(
                f"debounce longest is {show(self.longest)}, which is shorter than its wait {show(self.wait)}"
            )

    def window(self, now_ms: int) -> tuple[int, int]:
        """Return the Unix milliseconds of the start without a further call, and those of the latest start."""
        due_at = now_ms + milliseconds("debounce wait", self.wait)
        longest = LONGEST_WINDOW_S * 1000 if self.longest is None else milliseconds("debounce longest", self.longest)
        return due_at, now_ms + longest


Single = Unique | Throttle | Debounce
NOW = Timing()


class Request(msgspec.Struct, frozen=True):
    """One call that can be enqueued: `task.request(…)` and `app.request(…)` build it, `app.enqueue_many` takes it.

    run_id: the id of its run, chosen by the caller; empty for one that is made when the call is enqueued.
    """

    task: str
    payload: Any = {}
    options: Options = Options()
    timing: Timing = NOW
    single: Single | None = None
    metadata: dict[str, str] = {}
    headers: dict[str, str] = {}
    run_id: str = ""


class TypedRequest(Request, frozen=True):
    """A call that a task has built: its arguments are encoded and checked, and its options are those of its handle."""


def check_request(request: Any) -> None:
    """Check that what is to be enqueued is a call, and its fields what they say. Raises InvalidInput."""
    if not (
        isinstance(request, Request)
        and isinstance(request.task, str)
        and isinstance(request.options, Options)
        and isinstance(request.timing, Timing)
        and (request.single is None or isinstance(request.single, Single))
        and isinstance(request.run_id, str)
    ):
        raise InvalidInput(f"a call is {show(request)}, allowed is what task.request(…) or app.request(…) gives")
    if request.run_id:
        _check_run_id(request.run_id, request.single)


def build_request(
    task: str,
    payload: Any = None,
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
) -> Request:
    """Build a call from the options of `enqueue` and `TaskHandle.options`.

    Raises InvalidInput, or InvalidDefinition for an option out of range.
    """
    _check_known(task, options)
    if timeout is not None or max_retries is not None:
        options |= {"timeout": timeout, "max_retries": max_retries}
    if isinstance(payload, msgspec.Raw):
        payload = read_object(task, bytes(payload))
    timing = NOW if delay is None and at is None and expires is None else Timing(delay, at, expires)
    single = _choose_single(unique, throttle, debounce)
    if isinstance(single, Debounce) and (delay is not None or at is not None):
        raise InvalidInput("debounce says itself when the run starts: leave out delay and at")
    return Request(
        task,
        {} if payload is None else payload,
        read_options(f"a call of task {show(task)}", options, InvalidInput) if options else NO_OPTIONS,
        timing,
        single,
        check_texts("metadata", metadata) if metadata is not None else {},
        check_texts("headers", headers) if headers is not None else {},
        _check_run_id(run_id, single) if run_id != "" else "",
    )


_CALL_ONLY = frozenset(("delay", "at", "expires", "unique", "throttle", "debounce", "metadata", "headers", "run_id"))
_KNOWN_OPTIONS = (_CALL_ONLY | ALIASES | OPTION_NAMES) - {"executor", "limits"}


def _check_known(task: str, options: Mapping[str, Any]) -> None:
    if "executor" in options:
        raise InvalidInput(
            f"executor={show(options['executor'])} was given for one call of task {show(task)}: "
            "it belongs to the task, @app.task(executor=…)"
        )
    if "limits" in options:
        raise InvalidInput(
            f"limits of a call of {show(task)} are given: they belong to the task, @app.task(limits=[…])"
        )
    if unknown := set(options) - OPTION_NAMES:
        raise InvalidInput(f"a call of task {show(task)} {explain_unknown(unknown, _KNOWN_OPTIONS)}")


def _choose_single(
    unique: str | Unique, throttle: Seconds | Throttle | None, debounce: Seconds | Debounce | None
) -> Single | None:
    given: list[Single] = []
    if isinstance(unique, Unique) or unique:
        given.append(unique if isinstance(unique, Unique) else Unique(unique))
    if throttle is not None:
        given.append(throttle if isinstance(throttle, Throttle) else Throttle(throttle))
    if debounce is not None:
        given.append(debounce if isinstance(debounce, Debounce) else Debounce(debounce))
    if len(given) > 1:
        names = " and ".join(type(each).__name__.lower() for each in given)
        raise InvalidInput(f"{names} are given together: a call has one of unique, throttle and debounce")
    return given[0] if given else None


def new_run_id() -> str:
    """Return a new id for the option `run_id` of a call that may have to be sent again; nothing is sent.

    While the record of the run is kept, the second of two calls with one id finds the run of the first.
    """
    return make_run_id(time_ns() // 1_000_000)


def _check_run_id(run_id: object, single: Single | None) -> str:
    if not isinstance(run_id, str) or not is_run_id(run_id):
        raise InvalidInput(f"run_id is {show(run_id)}, allowed is what new_run_id() returns")
    if isinstance(single, Debounce):
        raise InvalidInput("run_id is given for a debounced call, whose run may be that of another call")
    return run_id


def lock_name(task: str, single: Single) -> str:
    """Return the name of the lock that makes a call the only one of its task and key."""
    # The key is a text of the user, of any characters and up to MAX_TEXT_BYTES, so only its hash enters the Redis key.
    prefix = "" if isinstance(single, Unique) else f"{type(single).__name__.lower()}:"
    return f"{prefix}{task}:{sha1(single.key.encode(), usedforsecurity=False).hexdigest()}"


def check_key(what: str, key: object) -> None:
    """Check that `key` is a text of at most MAX_TEXT_BYTES. Raises InvalidInput."""
    if not isinstance(key, str) or not is_encodable(key) or len(key.encode()) > MAX_TEXT_BYTES:
        raise InvalidInput(f"{what} is {show(key)}, allowed are texts of at most {MAX_TEXT_BYTES} bytes")


def check_texts(what: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Check metadata or headers: texts by name, of at most MAX_TEXT_BYTES together.

    Returns a copy. Raises InvalidInput.
    """
    if not isinstance(texts, Mapping):
        raise InvalidInput(f"{what} is {show(texts)}, allowed are texts by name, such as {{'order': '7'}}")
    found = dict(texts)
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidInput(f"{what} has {show(name)}: {show(value)}, allowed are texts; write str(…) around it")
        if not (is_encodable(name) and is_encodable(value)):
            raise InvalidInput(f"{what} has {show(name)}: {show(value)}, which cannot be written as UTF-8")
    size = sum(len(name) + len(value.encode()) for name, value in found.items())
    if size > MAX_TEXT_BYTES:
        raise InvalidInput(f"{what} has {size} bytes, allowed are {MAX_TEXT_BYTES}; put what is longer in the payload")
    return found
