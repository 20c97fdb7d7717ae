"""The table of the actions of the dashboard. Each calls the function that the command line uses for the same change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from jobistemer.control.backfills import Backfills
from jobistemer.control.cancel import cancel_occurrence, cancel_run
from jobistemer.control.changes import ChangeList
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.control.jobs import JobControl
from jobistemer.control.quarantine import Quarantine
from jobistemer.control.questions import answer_question
from jobistemer.control.queues import Holds, QueueControl, send_worker_command
from jobistemer.control.retry import retry_run
from jobistemer.control.signals import signal_run
from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput, JobistemerError
from jobistemer.core.text import CANCEL_MESSAGES
from jobistemer.store.namespace import Namespace

MAX_TARGETS: Final = 500
"""How many things one action may be about."""
MAX_NOTE_LENGTH: Final = 200
MAX_PAUSE_MINUTES: Final = 366 * 24 * 60


class ActionRequest(NamedTuple):
    """The fields of a form for an action. by: the name for audit lists. minutes: the length of a pause, or empty.

    signal, value: the name of a signal and its value, JSON. fields: of an answer, by their names.
    """

    targets: list[str]
    by: str
    note: str = ""
    minutes: str = ""
    signal: str = ""
    value: str = ""
    fields: Mapping[str, str] = {}

    @property
    def target(self) -> str:
        """The target of an action on one thing."""
        return self.targets[0]


class Action(NamedTuple):
    """One kind of change. perform: makes it and returns a message about it.

    question: asked before an action that destroys something. several: accepts more than one target. takes_note: the
    question asks for the time of a pause and a note, too.
    """

    label: str
    perform: Callable[[Namespace, ActionRequest], str]
    question: str = ""
    several: bool = False
    takes_note: bool = False


def _pause_job(namespace: Namespace, request: ActionRequest) -> str:
    minutes = int(request.minutes) if request.minutes.isascii() and request.minutes.isdecimal() else 0
    until = None
    if minutes:
        now_s = namespace.shards[0].read_clock() // 1000
        until = datetime.fromtimestamp(now_s + min(minutes, MAX_PAUSE_MINUTES) * 60, UTC)
    JobControl(namespace, request.by).pause(request.target, request.note[:MAX_NOTE_LENGTH], until)
    return f"{request.target} is paused" + (f" until {until:%Y-%m-%d %H:%M} UTC" if until else "")


def _resume_job(namespace: Namespace, request: ActionRequest) -> str:
    JobControl(namespace, request.by).resume(request.target)
    return f"{request.target} goes on"


def _trigger_job(namespace: Namespace, request: ActionRequest) -> str:
    occurrence, word = JobControl(namespace, request.by).trigger(request.target)
    return f"{request.target} is triggered: {occurrence} is {word}"


def _cancel_occurrence(namespace: Namespace, request: ActionRequest) -> str:
    return CANCEL_MESSAGES[cancel_occurrence(namespace, request.target, by=request.by)].format(request.target)


def _replay_occurrence(namespace: Namespace, request: ActionRequest) -> str:
    replay = Backfills(namespace, request.by).replay(request.target)
    ChangeList(namespace, request.by).record("replay occurrence", request.target, f"as {replay}")
    return f"{replay} replays {request.target}"


def _cancel_run(namespace: Namespace, request: ActionRequest) -> str:
    return CANCEL_MESSAGES[cancel_run(namespace, request.target, by=request.by)].format(request.target)


def _replay_dead(namespace: Namespace, request: ActionRequest) -> str:
    dead_letters, replayed, refused = DeadLetters(namespace, request.by), [], []
    for run in request.targets:
        try:
            replayed.append(dead_letters.replay(run))
        except JobistemerError as error:
            # Of several, one that another user has just replayed must not keep the rest from being replayed.
            if len(request.targets) == 1:
                raise
            refused.append(str(error))
    done = f"{replayed[0]} replays {request.target}" if len(request.targets) == 1 else f"{len(replayed)} replayed"
    return "; ".join([done, *(f"{len(refused)} refused, the first: {each}" for each in refused[:1])])


def _purge_dead(namespace: Namespace, request: ActionRequest) -> str:
    return f"{DeadLetters(namespace, request.by).purge(request.targets)} purged"


def _retry_run(namespace: Namespace, request: ActionRequest) -> str:
    return f"{retry_run(namespace, request.target, request.by)} has the work of {request.target} now"


def _signal_run(namespace: Namespace, request: ActionRequest) -> str:
    try:
        value = msgspec.json.decode(request.value)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the value of signal {show(request.signal)} is no JSON: {error}") from None
    signal_run(namespace, request.target, request.signal, value, by=request.by)
    return f"{request.target} has got the signal {request.signal}"


def _answer_run(namespace: Namespace, request: ActionRequest) -> str:
    text = answer_question(namespace, request.target, request.fields, request.by, request.signal)
    return f"answered: {text}"


def _restore_quarantined(namespace: Namespace, request: ActionRequest) -> str:
    row = Quarantine(namespace, request.by).restore(request.target)
    return f"{row.what} is back in {row.key}; what still cannot be read is put aside again"


def _purge_quarantined(namespace: Namespace, request: ActionRequest) -> str:
    return f"{Quarantine(namespace, request.by).purge(request.targets)} purged"


def _pause_queue(namespace: Namespace, request: ActionRequest) -> str:
    QueueControl(namespace, request.by).pause(request.target)
    return f"{request.target} is paused; workers hear it with their next beat"


def _resume_queue(namespace: Namespace, request: ActionRequest) -> str:
    QueueControl(namespace, request.by).resume(request.target)
    return f"{request.target} goes on"


def _release_hold(namespace: Namespace, request: ActionRequest) -> str:
    Holds(namespace, request.by).release_name(request.target)
    return f"{request.target} is on hold no more"


def _quiet_worker(namespace: Namespace, request: ActionRequest) -> str:
    send_worker_command(namespace, request.target, "quiet", request.by)
    return f"{request.target} will fetch nothing more from its next beat on"


ACTIONS: Final[Mapping[str, Action]] = {
    "pause-job": Action(
        "Pause", _pause_job, "Pause {}? Its instants are recorded as skipped meanwhile.", takes_note=True
    ),
    "resume-job": Action("Resume", _resume_job),
    "trigger-job": Action("Trigger now", _trigger_job),
    "cancel-occurrence": Action(
        "Cancel occurrence", _cancel_occurrence, "Cancel {} with all its runs? What runs ends within a second."
    ),
    "replay-occurrence": Action("Replay", _replay_occurrence),
    "cancel-run": Action("Cancel run", _cancel_run, "Cancel {}? If it runs, it ends within a second."),
    "retry-run": Action("Retry", _retry_run),
    "signal-run": Action("Send signal", _signal_run),
    "answer-run": Action("Answer", _answer_run),
    "replay-dead": Action("Replay", _replay_dead, several=True),
    "purge-dead": Action("Purge", _purge_dead, "Delete {} with payload and error, for good?", several=True),
    "restore-quarantined": Action("Restore", _restore_quarantined),
    "purge-quarantined": Action("Purge", _purge_quarantined, "Delete {} of the quarantine, for good?", several=True),
    "pause-queue": Action("Pause", _pause_queue),
    "resume-queue": Action("Resume", _resume_queue),
    "release-hold": Action("Release", _release_hold),
    "quiet-worker": Action(
        "Quiet", _quiet_worker, "Let {} fetch nothing more? What it has in flight ends. Only a restart undoes this."
    ),
}
