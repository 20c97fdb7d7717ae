"""Signals: values that are sent to a run, whose handler waits for them with `ctx.wait_for`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

import msgspec

from jobistemer.control.changes import ChangeList
from jobistemer.core.checks import check_author, check_id, check_text, show
from jobistemer.core.errors import InvalidInput, InvalidPayload, RunEnded, ServerRefused, UnknownRun
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.step_journal import build_identity
from jobistemer.core.handlers.value_codec import encode_json
from jobistemer.core.handlers.waits.signal_types import check_signal
from jobistemer.core.payload_json import ENCODING_ERRORS, find_non_finite
from jobistemer.core.runs.json_schema import find_misfit
from jobistemer.core.runs.questions import read_question
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.runs.steps import MAX_SIGNALS, MAX_SIGNALS_BYTES, Signal
from jobistemer.runtime.log_limit import log_limited
from jobistemer.store.calls.durable.signals import find_holder, send_signal
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.jobs import locate_record

log = logging.getLogger("jobistemer.control")
NO_HANDLERS: Final[Mapping[str, Handler]] = {}
CALL_LENGTH = 12
"""How many characters tell one call from another that sends a signal with the same id."""
LONGEST_SIGNAL_ID = 200
"""How many characters the id of a signal may have."""


def signal_run(
    namespace: Namespace,
    run_id: str,
    name: str,
    value: Any,
    *,
    signal_id: str = "",
    by: str = "",
    handlers: Mapping[str, Handler] = NO_HANDLERS,
    change: tuple[str, str] | None = None,
) -> bool:
    """Send a signal to a run: it wakes the run that waits for it, and is kept for a wait that comes later.

    signal_id: a signal with an id that was sent before counts once; by default each has an id of its own. by: the
    author, who is on the list of changes then. handlers: the tasks that the sender knows, by name: the types of signals
    that they declare hold. The type of the wait holds for every sender, as far as its JSON schema tells it. change: the
    action and the text of the line of the author, by default that a signal of this name was sent.

    Returns whether the signal is new. Raises UnknownRun, RunEnded, InvalidInput for a name or an id that cannot be
    used or when the run has too many signals, InvalidPayload for a value that has no form in JSON or does not fit, or
    NotConnected.
    """
    encoded = encode_value(name, value)
    database, run = require_run(namespace, run_id)
    if run.handler in handlers:
        check_signal(handlers[run.handler].signals, name, encoded)
    _check_wait(run, name, encoded)
    now_ms = database.clock.now_ms()
    check_text("signal id", signal_id, LONGEST_SIGNAL_ID, InvalidInput)
    call, author = uuid4().hex, check_author(by) if by else ""
    signal = Signal(signal_id or call, build_identity(name), encoded, now_ms, author, call=call[:CALL_LENGTH])
    reply = database.call(send_signal(database.keys, run.id, run.place, signal))
    match reply.word:
        case "UNKNOWN":
            raise UnknownRun(f"run {run_id:.100} is not on record any more: its retention is over")
        case "ENDED":
            raise RunEnded(f"run {run_id:.100} is {reply.values[0].decode()}: it takes no signal {name!r} any more")
        case "FULL":
            raise InvalidInput(
                f"run {run_id:.100} has as many signals as it may have ({MAX_SIGNALS}, {MAX_SIGNALS_BYTES:,} bytes "
                f"together): signal {name!r} is refused; store large values elsewhere and send references"
            )
    is_new = reply.word != "KNOWN"
    if is_new and by:
        _record_change(namespace, by, run_id, *(change or ("signal run", name)))
    return is_new


def _record_change(namespace: Namespace, by: str, run_id: str, action: str, text: str) -> None:
    try:
        ChangeList(namespace, by).record(action, run_id, text)
    except ServerRefused as error:
        # The signal counts, not the line about it: a producer with the rights of an earlier release may not write it.
        log_limited(log, logging.WARNING, "signal", "a signal by %s is not on the list of changes: %s", by, error)


def _check_wait(run: RunRecord, name: str, encoded: str) -> None:
    """Check a value against the type of the wait that it would end. Raises InvalidPayload."""
    expected = read_question(run.question) if run.wait == name else None
    if expected is None or expected.name != name:
        return
    if misfit := find_misfit(bytes(expected.schema), msgspec.json.decode(encoded)):
        raise InvalidPayload(f"the value of signal {show(name)} does not fit the wait of run {run.id}: {misfit}")


def require_run(namespace: Namespace, run_id: str) -> tuple[Database, RunRecord]:
    """Return the shard and the record of a run, to act on it. Raises UnknownRun."""
    located = locate_record(namespace.shards, check_id("run id", run_id))
    if located is None:
        raise UnknownRun(f"run {run_id:.100} is not on record: it never was, or its retention is over")
    return located


def find_run_by_key(namespace: Namespace, locks: Iterable[str], key: str) -> str:
    """Return the run that holds a unique key. locks: the names of its lock for each task. Raises UnknownRun."""
    names = list(locks)
    for database in namespace.shards:
        if names and (found := find_holder(database, names)):
            return found
    raise UnknownRun(f"{show(key)} is no id of a run, and no run of this app's tasks holds it as its unique key")


def encode_value(name: str, value: Any) -> str:
    """Encode the value of a signal as JSON. Raises InvalidPayload."""
    try:
        encoded = encode_json(value)
        unfit = find_non_finite(value) if b"null" in encoded else None
    except ENCODING_ERRORS as error:
        raise InvalidPayload(f"the value of signal {show(name)} cannot be written as JSON: {error}") from None
    if unfit is not None:
        raise InvalidPayload(f"the value of signal {show(name)} has the number {unfit!r}, which JSON cannot say")
    if len(encoded) > MAX_SIGNALS_BYTES // 2:
        raise InvalidPayload(
            f"the value of signal {show(name)} has {len(encoded)} bytes, allowed are {MAX_SIGNALS_BYTES // 2}: "
            "store it elsewhere and send a reference"
        )
    return encoded.decode()
