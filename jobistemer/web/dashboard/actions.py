"""Everything that the dashboard can change, as a table; each through what the command line uses as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jobistemer.app import DeadLetters, JobControl, QueueControl
from jobistemer.control.backfills import Backfills
from jobistemer.control.cancel import cancel_occurrence, cancel_run
from jobistemer.control.queues import tell_worker
from jobistemer.core.errors import JobistemerError
from jobistemer.store.namespace import Namespace

LONGEST_NOTE: Final = 200
LONGEST_PAUSE: Final = 366 * 24 * 60


class Asked(NamedTuple):
    """What somebody wants: on which targets, who, with what note, for how many minutes."""

    targets: list[str]
    by: str
    note: str = ""
    minutes: str = ""

    @property
    def target(self) -> str:
        """The one target."""
        return self.targets[0]


class Action(NamedTuple):
    """One thing to do. perform: does it, and says what it has done. question: asked before, where it destroys."""

    label: str
    perform: Callable[[Namespace, Asked], str]
    question: str = ""
    several: bool = False


def _pause_job(namespace: Namespace, asked: Asked) -> str:
    minutes = int(asked.minutes) if asked.minutes.isascii() and asked.minutes.isdecimal() else 0
    until = None
    if minutes:
        now_s = namespace.shards[0].read_clock() // 1000
        until = datetime.fromtimestamp(now_s + min(minutes, LONGEST_PAUSE) * 60, UTC)
    JobControl(namespace, asked.by).pause(asked.target, asked.note[:LONGEST_NOTE], until)
    return f"{asked.target} is paused" + (f" until {until:%Y-%m-%d %H:%M} UTC" if until else "")


def _resume_job(namespace: Namespace, asked: Asked) -> str:
    JobControl(namespace, asked.by).resume(asked.target)
    return f"{asked.target} goes on"


def _trigger_job(namespace: Namespace, asked: Asked) -> str:
    occurrence, word = JobControl(namespace, asked.by).trigger(asked.target)
    return f"{asked.target} is triggered: {occurrence} is {word}"


def _cancel_occurrence(namespace: Namespace, asked: Asked) -> str:
    return _CANCELED[cancel_occurrence(namespace, asked.target, f"by {asked.by}")].format(asked.target)


def _replay_occurrence(namespace: Namespace, asked: Asked) -> str:
    return f"{Backfills(namespace, asked.by).replay(asked.target)} replays {asked.target}"


def _cancel_run(namespace: Namespace, asked: Asked) -> str:
    return _CANCELED[cancel_run(namespace, asked.target, f"by {asked.by}")].format(asked.target)


def _replay_dead(namespace: Namespace, asked: Asked) -> str:
    letters, replayed, refused = DeadLetters(namespace), [], []
    for run in asked.targets:
        try:
            replayed.append(letters.replay(run))
        except JobistemerError as error:
            if len(asked.targets) == 1:
                raise
            refused.append(str(error))
    done = f"{replayed[0]} replays {asked.target}" if len(asked.targets) == 1 else f"{len(replayed)} replayed"
    return "; ".join([done, *(f"{len(refused)} refused, the first: {each}" for each in refused[:1])])


def _purge_dead(namespace: Namespace, asked: Asked) -> str:
    return f"{DeadLetters(namespace).purge(asked.targets)} purged"


def _pause_queue(namespace: Namespace, asked: Asked) -> str:
    QueueControl(namespace).pause(asked.target)
    return f"{asked.target} is paused; workers hear it with their next beat"


def _resume_queue(namespace: Namespace, asked: Asked) -> str:
    QueueControl(namespace).resume(asked.target)
    return f"{asked.target} goes on"


def _quiet_worker(namespace: Namespace, asked: Asked) -> str:
    tell_worker(namespace, asked.target, "quiet")
    return f"{asked.target} will fetch nothing more from its next beat on"


_CANCELED: Final = {
    "canceled": "{} is canceled",
    "requested": "{} is being canceled: its worker has been asked and ends it within a second",
    "ended": "{} had ended before; nothing was changed",
}

ACTIONS: Final[Mapping[str, Action]] = {
    "pause-job": Action("Pause", _pause_job),
    "resume-job": Action("Resume", _resume_job),
    "trigger-job": Action("Trigger now", _trigger_job),
    "cancel-occurrence": Action(
        "Cancel occurrence", _cancel_occurrence, "Cancel {} with all its runs? What runs ends within a second."
    ),
    "replay-occurrence": Action("Replay", _replay_occurrence),
    "cancel-run": Action("Cancel run", _cancel_run, "Cancel {}? If it runs, it ends within a second."),
    "replay-dead": Action("Replay", _replay_dead, several=True),
    "purge-dead": Action("Purge", _purge_dead, "Delete {} with payload and error, for good?", several=True),
    "pause-queue": Action("Pause", _pause_queue),
    "resume-queue": Action("Resume", _resume_queue),
    "quiet-worker": Action(
        "Quiet", _quiet_worker, "Let {} fetch nothing more? What it has in flight ends. Only a restart undoes this."
    ),
}
