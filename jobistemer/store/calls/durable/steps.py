"""Calls that write the records of a run's steps, and that end an attempt whose handler sleeps or waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from jobistemer.core import ids
from jobistemer.core.runs.message import WIRE_VERSION, Delivery, GroupMember, Message, Undoing, encode_message
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.runs.settle import SLEEPS, FinalState, Suspension
from jobistemer.core.runs.steps import UNDO_MARK
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.runs import halt_keys
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script

MAX_ATTEMPTS_EACH = 3
"""So many attempts of a run expire with its steps in a call for many runs."""
MAX_RUNS_PER_CALL = 100


class StepWrite(NamedTuple):
    """Records of the steps of one run, which are written while its attempt goes on.

    records: JSON by the name of the step. take: the id of the signal that a wait takes. unless: the name of a signal;
    nothing is written when one has come.
    """

    delivery: Delivery
    records: Mapping[str, bytes]
    take: str = ""
    unless: str = ""


def record_steps(keys: Keys, writes: Sequence[StepWrite]) -> ScriptCall:
    """Build the call that writes the records of up to 100 runs."""
    touched: list[str] = []
    args: list[Any] = []
    for delivery, records, take, unless in writes:
        run = delivery.message.run
        touched += (keys.run(run), keys.steps(run))
        args += (delivery.entry, take, unless, len(records))
        for pair in records.items():
            args += pair
    return script("record_steps")(tuple(touched), tuple(args))


def suspend_run(keys: Keys, ended: EndedAttempt, why: Suspension, keep_ms: int, fields: Sequence[Any]) -> ScriptCall:
    """Build the call that ends an attempt whose run goes on at its time, or when a signal comes.

    keep_ms: how long the record of the attempt is kept. fields: the fields and values of that record.
    """
    delivery, message = ended.delivery, ended.delivery.message
    later = build_suspended_message(message, is_snooze=why.is_snooze)
    return script("suspend_run")(
        (
            delivery.stream.decode(),
            keys.run(message.run),
            keys.attempt(ids.attempt_id(message.run, delivery.attempt)),
            keys.delayed,
            keys.wake,
            keys.steps(message.run),
            keys.questions,
            # Any key where there is no group: it is not used.
            keys.group(why.group or message.run),
            *halt_keys(keys, message),
        ),
        (
            delivery.entry,
            message.run,
            place(message.queue, message.priority),
            "scheduled" if why.is_snooze else "suspended",
            ended.worker,
            encode_message(later),
            delivery.attempt + 1,
            delivery.crashes,
            ended.ended_at,
            why.due_at or ended.ended_at + why.after_ms,
            keep_ms,
            "" if why.reason == SLEEPS else why.reason[:200],
            why.wait or build_group_wait(why.group),
            why.members,
            why.question or why.expected,
            int(bool(why.question)),
            later.snoozes,
            len(why.records),
            *(part for pair in why.records.items() for part in pair),
            *fields,
        ),
    )


def build_group_wait(group: str) -> str:
    """Return what the record of a run says that waits for a group; names of signals do not begin with a colon."""
    return f":{group}" if group else ""


def wake_parent(keys: Keys, member: GroupMember) -> ScriptCall:
    """Build the call that wakes the run which is suspended until a group has ended, when it has."""
    return script("wake_parent")(
        (keys.group(member.group), keys.run(member.parent), keys.stream(member.place), keys.streams, keys.delayed),
        (member.parent, member.place, build_group_wait(member.group)),
    )


def build_suspended_message(message: Message, *, is_snooze: bool) -> Message:
    """Return the message of a run whose attempt ends suspended."""
    counts = {"suspended": message.suspended + 1, "snoozes": message.snoozes + is_snooze}
    return msgspec.structs.replace(mark_durable(message), **{key: value for key, value in counts.items() if value})


def mark_durable(message: Message, *, can_undo: bool = False) -> Message:
    """Return the message in the version that workers which know no steps do not read.

    can_undo: a step of the run has a function that undoes it.
    """
    if message.wire == WIRE_VERSION and (message.can_undo or not can_undo):
        return message
    return msgspec.structs.replace(message, wire=WIRE_VERSION, **({"can_undo": True} if can_undo else {}))


def undo_run(keys: Keys, ended: EndedAttempt, over: FinalState, keep_ms: int, fields: Sequence[Any]) -> ScriptCall:
    """Build the call after which the steps of a run are undone, in one more attempt, before it ends as `over` says."""
    delivery, message = ended.delivery, ended.delivery.message
    how = Undoing(over.state, ended.outcome.error[:1_000], over.verdict, over.spent)
    where, number = place(message.queue, message.priority), delivery.attempt + (ended.source == "attempt")
    # The failures so far are those of the handler: undoing has all the retries of the policy for itself.
    undoing = msgspec.structs.replace(message, undoing=how, suspended=number - ended.crashes)
    return script("undo_run")(
        (
            delivery.stream.decode(),
            keys.run(message.run),
            keys.attempt(ids.attempt_id(message.run, delivery.attempt)),
            keys.waiting(ended.limit) if ended.limit else keys.delayed,
            keys.stream(where),
            keys.streams,
        ),
        (
            ended.source,
            delivery.entry,
            message.run,
            where,
            encode_message(undoing),
            ended.outcome.state,
            ended.worker,
            number,
            ended.crashes,
            keep_ms,
            *fields,
        ),
    )


def expire_steps(keys: Keys, ended: Sequence[tuple[str, range]]) -> ScriptCall:
    """Build the call that lets the steps of up to 100 runs expire with them; an extension of their commit.

    ended: each run, and the numbers of its attempts that expire with it, at most 100.
    """
    touched: list[str] = [keys.questions]
    logs: list[str] = []
    args: list[str | int] = [len(ended)]
    for run, numbers in ended:
        attempts = [ids.attempt_id(run, number) for number in numbers]
        touched += (keys.run(run), keys.steps(run), *map(keys.attempt, attempts))
        logs += map(keys.log, attempts)
        args += (run, len(numbers))
    return script("expire_steps")((*touched, *logs), tuple(args))


def read_steps(database: Database, run: str) -> dict[bytes, bytes]:
    """Return the records of the steps of a run, as they are stored. Raises NotConnected or ServerRefused."""
    found: dict[bytes, bytes] = database.ask("HGETALL", database.keys.steps(run))
    return found


def read_steps_of_runs(database: Database, runs: Sequence[str]) -> list[dict[bytes, bytes]]:
    """Return the records of the steps of several runs, in one round trip. Raises NotConnected or ServerRefused."""
    found: list[dict[bytes, bytes]] = database.ask_all([("HGETALL", database.keys.steps(run)) for run in runs])
    return found


def mark_with_steps(database: Database, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Return deliveries with the message marked of each run that has steps on record.

    Raises NotConnected or ServerRefused.
    """
    steps = [database.keys.steps(each.message.run) for each in deliveries]
    # Nearly always none of them has: one command tells so, and two for each of ten thousand runs would double the time.
    if not steps or not database.ask("EXISTS", *steps):
        return list(deliveries)
    commands: list[Command] = [command for key in steps for command in (("EXISTS", key), ("HEXISTS", key, UNDO_MARK))]
    found = database.ask_all(commands)
    return [
        msgspec.structs.replace(each, message=mark_durable(each.message, can_undo=bool(undo))) if has_steps else each
        for each, has_steps, undo in zip(deliveries, found[::2], found[1::2], strict=True)
    ]


def read_signals(database: Database, run: str) -> bytes:
    """Return the signals that a run was sent, as they are stored. Raises NotConnected or ServerRefused."""
    return database.ask("HGET", database.keys.run(run), "signals") or b""


def rewind_run(keys: Keys, run: RunRecord, dropped_steps: Sequence[str]) -> ScriptCall:
    """Build the call after which a suspended run does some of its steps again."""
    return script("rewind_run")(
        (keys.run(run.id), keys.steps(run.id), keys.stream(run.place), keys.streams, keys.delayed, keys.questions),
        (run.id, run.place, run.attempt, *dropped_steps),
    )
