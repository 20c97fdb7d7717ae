"""What a worker does after a commit whose companions found work: chores that hold up nothing when they are lost."""

from __future__ import annotations

from jobistemer.core.messages import Message
from jobistemer.store import cancelling, groups
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply
from jobistemer.worker.definitions import Definitions


def follow(database: Database, message: Message, definitions: Definitions, replies: tuple[Reply, ...]) -> None:
    """Look at what the companions of a commit answered."""
    words = {reply.word for reply in replies}
    if "HALTED" in words:
        cancelling.cancel_retries(database, message.member.group if message.member else groups.of_parent(message))
    slot = message.slot
    if "ENDED" in words and slot is not None:
        job = definitions.find(database, slot.job, slot.version)
        if job is not None:
            groups.expire_with(database, slot.occurrence, job)
