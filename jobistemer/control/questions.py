"""Answers to the questions of runs: checked, recorded with their author, and sent as the signal of the wait."""

from __future__ import annotations

from collections.abc import Mapping

from jobistemer.control.signals import require_run, signal_run
from jobistemer.core.checks import show
from jobistemer.core.errors import Conflict, InvalidInput
from jobistemer.core.runs.questions import build_answer
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.durable.questions import OpenQuestion, find_question


def require_question(namespace: Namespace, run_id: str) -> OpenQuestion:
    """Return the question of a run. Raises UnknownRun, or Conflict when it asks nothing (any more)."""
    database, run = require_run(namespace, run_id)
    found = find_question(database, run)
    if found is None:
        raise Conflict(
            f"run {run_id:.100} asks nothing: the question was answered, its time is over, it comes later, or the run "
            "has ended"
        )
    return found


def answer_question(namespace: Namespace, run_id: str, values: Mapping[str, str], by: str, name: str = "") -> str:
    """Answer the question of a run with the texts of a form, by the names of its fields. Returns the question.

    by: who answers, for the signal and the list of changes. name: of the wait that was asked about; another one has
    not got this answer. Raises UnknownRun, Conflict, or InvalidInput for an answer that does not fit and for a person
    who is not asked.
    """
    found = require_question(namespace, run_id)
    question = found.question
    if name and name != question.name:
        raise Conflict(f"run {run_id:.100} asks something else now: {found.text}")
    if question.by and by not in question.by:
        raise InvalidInput(f"{show(by)} is not asked; this question is for {', '.join(question.by)}")
    # One answer counts: a second one has the same id.
    identity = f"answer-{question.name}-{question.asked_at}"
    answer, change = build_answer(question, values), ("answer run", found.text[:200])
    if not signal_run(namespace, run_id, question.name, answer, signal_id=identity, by=by, change=change):
        raise Conflict(f"run {run_id:.100} was answered before")
    return found.text
