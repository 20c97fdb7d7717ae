"""The questions that runs ask people, from the set that scripts keep of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jobistemer.core.runs.questions import RunQuestion, read_question, word_question
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.unreadable import to_text
from jobistemer.store.database import Database
from jobistemer.store.reads.records import find_message, find_runs


class OpenQuestion(NamedTuple):
    """A question that waits for an answer. text: with the arguments of the call."""

    run: RunRecord
    question: RunQuestion
    text: str


def count_questions(shards: Sequence[Database]) -> int:
    """Return how many questions wait for an answer."""
    return sum(database.read("ZCARD", database.keys.questions) for database in shards)


def list_questions(shards: Sequence[Database], offset: int = 0, limit: int = 50) -> list[OpenQuestion]:
    """Return the questions that wait for an answer, those first that wait longest."""
    found = [each for database in shards for each in _list_of_shard(database, offset + limit)]
    return sorted(found, key=lambda each: each.question.asked_at)[offset : offset + limit]


def find_question(database: Database, run: RunRecord) -> OpenQuestion | None:
    """Return the question of a run; None when it asks nothing at present."""
    question = read_question(run.question)
    if question is None or not question.text:
        return None
    message = find_message(database, run.id)
    return OpenQuestion(run, question, word_question(question, bytes(message.payload) if message else b"{}"))


def _list_of_shard(database: Database, limit: int) -> list[OpenQuestion]:
    members = database.read("ZRANGE", database.keys.questions, 0, limit - 1)
    runs = find_runs(database, [to_text(member) for member in members])
    return [found for run in runs if (found := find_question(database, run)) is not None]
