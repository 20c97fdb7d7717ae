"""Doing what a form asks for: only for our own pages, never in a read-only dashboard, asked twice where it destroys."""

from __future__ import annotations

import hmac

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.web.dashboard.actions import ACTIONS, Action, Asked
from jobistemer.web.dashboard.dashboard import SAID, Dashboard, of
from jobistemer.web.dashboard.forms import Form, first, local, read_form
from jobistemer.web.security.middleware import is_from_here

MOST_TARGETS = 100
LONGEST_SAID = 1_000


async def act(request: Request) -> Response:
    """Carry out one action, or ask whether it is meant."""
    form = await read_form(request)
    # The store waits for the server, so this is for a thread.
    return await run_in_threadpool(_act, request, form)


def check_form(request: Request, form: Form) -> None:
    """Refuse what no page of this dashboard, in this browser, has sent."""
    mark = of(request).form_mark(request)
    if not is_from_here(request) or not hmac.compare_digest(first(form, "csrf").encode(), mark.encode()):
        raise HTTPException(403, "This form is not, or no longer, one of this dashboard: load its page again.")


def _act(request: Request, form: Form) -> Response:
    dashboard, name = of(request), request.path_params["action"]
    if dashboard.read_only:
        raise HTTPException(403, "This dashboard is read-only.")
    check_form(request, form)
    action = ACTIONS.get(name)
    if action is None:
        raise HTTPException(404, f"There is no action {name!r:.80}.")
    targets = form.get("target", [])
    if not 1 <= len(targets) <= (MOST_TARGETS if action.several else 1):
        raise HTTPException(400, f"{len(targets)} were chosen; choose one" + (" or more." if action.several else "."))
    if action.question and first(form, "confirmed") != "yes":
        return _ask(request, form, name, action)
    return _done(dashboard, form, action.perform(dashboard.namespace, _asked(dashboard, form, targets)))


def _asked(dashboard: Dashboard, form: Form, targets: list[str]) -> Asked:
    return Asked(targets, dashboard.by, first(form, "note"), first(form, "minutes"))


def _ask(request: Request, form: Form, name: str, action: Action) -> Response:
    targets = form["target"]
    question = action.question.format(targets[0] if len(targets) == 1 else f"{len(targets)} of them")
    return of(request).page(
        request, "confirm.html", action=name, label=action.label, question=question, targets=targets,
        back=local(first(form, "back")),
    )  # fmt: skip


def _done(dashboard: Dashboard, form: Form, said: str) -> Response:
    response = RedirectResponse(local(first(form, "back")), 303)
    sealed = dashboard.seal.close("said", said[:LONGEST_SAID])
    response.set_cookie(SAID, sealed, max_age=60, httponly=True, samesite="strict")
    return response
