"""Enqueue a debounced call: the one transition of a call that may need several round trips."""

from __future__ import annotations

from collections.abc import Generator

from jobistemer.app.request import Debounce
from jobistemer.core.runs.message import Message
from jobistemer.store.async_database import AsyncDatabase
from jobistemer.store.calls import runs
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Reply, ScriptCall

TRIES = 5
"""How often a call is tried again, when other callers keep replacing the run that it has seen."""

Steps = Generator[ScriptCall, Reply, Reply]
"""Script calls that are made one after another: each depends on the reply before it. Returns the last reply."""


def run_debounce(database: Database, single: Debounce, message: Message, lock: str) -> Reply:
    """Create the run of the message, or put off the run that waits under this lock. Returns the script's last reply."""
    steps = _debounce_steps(database.keys, single, message, lock)
    call = next(steps)
    while True:
        try:
            call = steps.send(database.call(call))
        except StopIteration as end:
            reply: Reply = end.value
            return reply


async def run_debounce_async(database: AsyncDatabase, single: Debounce, message: Message, lock: str) -> Reply:
    """Do what `run_debounce` does, awaited."""
    steps = _debounce_steps(database.keys, single, message, lock)
    call = next(steps)
    while True:
        try:
            call = steps.send(await database.call(call))
        except StopIteration as end:
            reply: Reply = end.value
            return reply


def _debounce_steps(keys: Keys, single: Debounce, message: Message, lock: str) -> Steps:
    # The script puts off a run only if this caller has seen it: the message that replaces the old one carries the id of
    # that run. When the script answers with a run that is not the one seen, the call is tried again with that run.
    window, seen = single.window(message.enqueue_ms), ""
    for _ in range(TRIES):
        reply = yield runs.debounce_run(keys, message, lock, window, message.enqueue_ms, seen)
        if reply.word != "EXISTS":
            break
        seen = reply.values[0].decode()
    return reply
