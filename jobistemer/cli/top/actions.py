"""The actions of `jobistemer top` on the row that is selected: each is asked about before it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from jobistemer.cli.top.parts import Target
from jobistemer.control.cancel import cancel_run
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.control.jobs import JobControl
from jobistemer.control.queues import QueueControl, send_worker_command
from jobistemer.core.text import CANCEL_MESSAGES
from jobistemer.store.namespace import Namespace

ACTION_KEYS: Final = "P pause or resume · T trigger · R replay · X cancel · Q quiet"
"""What the keys do, for people."""


class TopAction(NamedTuple):
    """A change that a key asks for. done: the message after it, with `{}` for what the change returns."""

    question: str
    change: Callable[[], object]
    done: str

    def perform(self) -> str:
        """Make the change and return the message about it. Raises JobistemerError."""
        answer = self.change()
        return self.done.replace("{}", str(answer))


def find_action(namespace: Namespace, by: str, key: str, target: Target) -> TopAction | None:
    """Return the action of a key on a row; None when the key does nothing there. by: the name for audit lists."""
    finders = {
        ("P", "job"): _pause_job,
        ("T", "job"): _trigger_job,
        ("P", "queue"): _pause_queue,
        ("R", "dead"): _replay_dead,
        ("X", "run"): _cancel_run,
        ("Q", "worker"): _quiet_worker,
    }
    find = finders.get((key, target.kind))
    return find(namespace, by, target) if find else None


def _pause_job(namespace: Namespace, by: str, target: Target) -> TopAction:
    control, name = JobControl(namespace, by), target.id
    if target.is_stopped:
        return TopAction(f"resume job {name}", lambda: control.resume(name), f"{name} goes on")
    return TopAction(f"pause job {name}", lambda: control.pause(name), f"{name} is paused")


def _trigger_job(namespace: Namespace, by: str, target: Target) -> TopAction:
    control, name = JobControl(namespace, by), target.id
    return TopAction(f"trigger job {name}", lambda: control.trigger(name)[1], f"{name} is triggered: {{}}")


def _pause_queue(namespace: Namespace, by: str, target: Target) -> TopAction:
    control, name = QueueControl(namespace, by), target.id
    if target.is_stopped:
        return TopAction(f"resume queue {name}", lambda: control.resume(name), f"{name} goes on")
    return TopAction(f"pause queue {name}", lambda: control.pause(name), f"{name} is paused")


def _replay_dead(namespace: Namespace, by: str, target: Target) -> TopAction:
    run = target.id
    return TopAction(f"replay {run}", lambda: DeadLetters(namespace, by).replay(run), f"{{}} replays {run}")


def _cancel_run(namespace: Namespace, by: str, target: Target) -> TopAction:
    run = target.id
    return TopAction(f"cancel {run}", lambda: CANCEL_MESSAGES[cancel_run(namespace, run, by=by)].format(run), "{}")


def _quiet_worker(namespace: Namespace, by: str, target: Target) -> TopAction:
    worker = target.id
    return TopAction(
        f"let worker {worker} fetch nothing more",
        lambda: send_worker_command(namespace, worker, "quiet", by),
        f"{worker} fetches nothing more",
    )
