"""What a worker does after a commit whose companions found work: chores that hold up nothing when they are lost."""

from __future__ import annotations

from jobistemer.store.actions import cancel
from jobistemer.store.calls import groups
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply
from jobistemer.worker.attempts.definition_cache import DefinitionCache


def run_after_commit(
    database: Database, ended: EndedAttempt, definitions: DefinitionCache, replies: tuple[Reply, ...]
) -> None:
    """Look at what the companions of a commit answered."""
    words, message = {reply.word for reply in replies}, ended.delivery.message
    if "HALTED" in words:
        cancel.cancel_children(database, message.run, ended.mapped)
        if message.member is not None:
            cancel.cancel_retries(database, message.member.group)
    slot = message.task_ref
    if "ENDED" in words and slot is not None:
        job = definitions.find(database, slot.job, slot.version)
        if job is not None:
            groups.expire_groups(database, slot.occurrence, job)
