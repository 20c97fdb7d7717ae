"""Questions of runs: the list with a form for each answer, and the page of a signed link that opens one form."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobistemer.control.questions import answer_question, require_question
from jobistemer.core.runs.questions import AnswerField, list_fields
from jobistemer.store.reads.durable.questions import OpenQuestion, list_questions
from jobistemer.web.pages.actions import check_form, read_answer
from jobistemer.web.security.signing import AnswerLink, decode_link, encode_link
from jobistemer.web.shared.dashboard import Dashboard, get_dashboard
from jobistemer.web.shared.forms import FormValues, read_form
from jobistemer.web.shared.pagination import read_page

QUESTIONS_PER_PAGE: Final = 20


class QuestionForm(NamedTuple):
    """A question with the fields of its answer. links: a link for each person who may answer."""

    open: OpenQuestion
    fields: list[AnswerField]
    links: list[tuple[str, str]]


def questions_page(request: Request) -> Response:
    """Render the questions that wait for an answer, those that wait longest first."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    page = read_page(request, QUESTIONS_PER_PAGE, lambda offset, limit: list_questions(shards, offset, limit))
    forms = [build_form(dashboard, each) for each in page.rows]
    return dashboard.render_page(request, "questions.html", page=page, forms=forms)


def build_form(dashboard: Dashboard, found: OpenQuestion) -> QuestionForm:
    """Build the form of a question."""
    links = [] if dashboard.read_only else [(each, _sign_link(dashboard, found, each)) for each in found.question.by]
    return QuestionForm(found, list_fields(found.question), links)


def answer_page(request: Request) -> Response:
    """Render the form that a signed link opens, and nothing else."""
    dashboard = get_dashboard(request)
    _refuse_when_read_only(dashboard)
    _ = dashboard.shards
    link = _read_link(dashboard, request.path_params["link"])
    found = require_question(dashboard.namespace, link.run)
    form = QuestionForm(found, list_fields(found.question), [])
    is_open = found.question.name == link.name
    return dashboard.render_page(request, "answer.html", form=form, person=link.person, is_open=is_open, done="")


async def send_answer(request: Request) -> Response:
    """Take the answer of a signed link."""
    form = await read_form(request)
    return await run_in_threadpool(_take_answer, request, form)


def _take_answer(request: Request, form: FormValues) -> Response:
    dashboard = get_dashboard(request)
    _refuse_when_read_only(dashboard)
    _ = dashboard.shards
    check_form(request, form)
    link = _read_link(dashboard, request.path_params["link"])
    text = answer_question(dashboard.namespace, link.run, read_answer(form), link.person, link.name)
    return dashboard.render_page(request, "answer.html", form=None, person=link.person, is_open=False, done=text)


def _refuse_when_read_only(dashboard: Dashboard) -> None:
    # Before the link is read: without a token a read-only dashboard does not know the key, and would call it broken.
    if dashboard.read_only:
        raise HTTPException(403, "This dashboard is read-only: open the link on one that takes answers.")


def _sign_link(dashboard: Dashboard, found: OpenQuestion, person: str) -> str:
    return encode_link(dashboard.signer, AnswerLink(found.run.id, found.question.name, person))


def _read_link(dashboard: Dashboard, signed: str) -> AnswerLink:
    link = decode_link(dashboard.signer, signed)
    if link is None:
        raise HTTPException(404, "This link opens nothing: it is not complete, or too old. Ask for a new one.")
    return link
