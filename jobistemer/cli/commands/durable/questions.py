"""`jobistemer questions` and `jobistemer answer`: what runs ask people, and the answers."""

from __future__ import annotations

import click
import msgspec
from rich.console import RenderableType

from jobistemer.cli.author_option import by_option
from jobistemer.cli.list_answers import list_page
from jobistemer.cli.session import Session, page_options, with_session
from jobistemer.control.questions import answer_question, require_question
from jobistemer.core.errors import InvalidInput
from jobistemer.core.runs.questions import AnswerField, list_fields
from jobistemer.runtime.process_info import user_name
from jobistemer.store.reads.durable.questions import OpenQuestion, count_questions, list_questions
from jobistemer.terminal import tables


class QuestionView(msgspec.Struct, frozen=True):
    """A question for programs. fields: those of the answer. by: who may answer. asked_at, due_at: Unix ms."""

    run: str
    task: str
    question: str
    name: str
    by: tuple[str, ...]
    fields: list[AnswerField]
    asked_at: int
    due_at: int


@click.command("questions")
@page_options(100, 1_000)
@with_session
def questions_command(session: Session, limit: int, offset: int) -> None:
    """List the questions that suspended runs ask people, those first that wait longest."""
    shards = session.namespace.shards
    found = list_questions(shards, offset, limit)
    rows = [
        QuestionView(
            run=each.run.id,
            task=each.run.handler,
            question=each.text,
            name=each.question.name,
            by=each.question.by,
            fields=list_fields(each.question),
            asked_at=each.question.asked_at,
            due_at=each.question.due_at,
        )
        for each in found
    ]
    answer = list_page("question", rows, offset, count_questions(shards))
    session.print_list(answer, lambda: "" if offset and not found else _draw(found, session.now_ms))


@click.command("answer")
@click.argument("run_id")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]…")
@by_option
@with_session
def answer_command(session: Session, run_id: str, fields: tuple[str, ...], by: str | None) -> None:
    """Answer the question that a run asks, field by field: `jobistemer answer RUN yes=true note=fine`.

    An answer without fields of its own is =VALUE. The author (--by) has to be one of those who may answer.
    """
    pairs = [each.partition("=") for each in fields]
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise InvalidInput(f"{bad[0]!r} is no FIELD=VALUE")
    values = {name: value for name, _, value in pairs}
    _check_fields(session, run_id, values)
    asked = answer_question(session.namespace, run_id, values, by or user_name())
    session.print_answer({"run": run_id, "question": asked}, lambda: tables.cell(f"answered: {asked}"))


def _check_fields(session: Session, run_id: str, values: dict[str, str]) -> None:
    # A form has boxes and no other fields; what is typed may be anything, and must not count as a box without a tick.
    fields = {each.name: each for each in list_fields(require_question(session.namespace, run_id).question)}
    for name, value in values.items():
        if name not in fields:
            raise InvalidInput(f"there is no field {name!r}; it has {', '.join(fields)}")
        if fields[name].kind == "flag" and value not in ("true", "false"):
            raise InvalidInput(f"{name} is {value!r}, allowed are true and false")
    if missing := [name for name, each in fields.items() if each.is_required and name not in values]:
        raise InvalidInput(f"{missing[0]} is missing: give {missing[0]}=…")


def _draw(found: list[OpenQuestion], now_ms: int) -> RenderableType:
    if not found:
        return "no run asks anything"
    rows = [
        (
            each.run.id,
            each.run.handler,
            each.text,
            ", ".join(field.name or "=" for field in list_fields(each.question)),
            ", ".join(each.question.by) or "everybody",
            tables.format_instant(each.question.asked_at, now_ms),
            tables.format_instant(each.question.due_at, now_ms),
        )
        for each in found
    ]
    return tables.table(("run", "task", "question", "fields", "who may answer", "asked (UTC)", "until (UTC)"), rows)
