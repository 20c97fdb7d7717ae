"""Performing the actions that forms ask for.

Only forms of this dashboard's own pages are accepted, and none when it is read-only. An action that destroys something
needs a second form that confirms it.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.core import ids
from jobistemer.web.security.middleware import is_same_origin
from jobistemer.web.security.visit import get_visit
from jobistemer.web.shared.actions import ACTIONS, MAX_TARGETS, Action, ActionRequest
from jobistemer.web.shared.dashboard import FLASH_LIFETIME_S, Dashboard, get_dashboard
from jobistemer.web.shared.forms import FormValues, first_value, local_path, read_form

MAX_FLASH_LENGTH = 1_000


async def handle_action(request: Request) -> Response:
    """Perform one action, or render the page that asks for a confirmation."""
    form = await read_form(request)
    # In a thread: the store blocks until the server answers, and the event loop must not.
    return await run_in_threadpool(_perform_action, request, form)


def check_form(request: Request, form: FormValues) -> None:
    """Raise HTTPException 403 for a form that no page of this dashboard, in this browser, has sent."""
    # Two checks: browsers that send no origin are caught by the token, a token that leaked is caught by the origin.
    if not is_same_origin(request) or not get_dashboard(request).is_csrf_token(request, first_value(form, "csrf")):
        raise HTTPException(403, "This form is not, or no longer, one of this dashboard: load its page again.")


def _perform_action(request: Request, form: FormValues) -> Response:
    dashboard, name = get_dashboard(request), request.path_params["action"]
    if dashboard.read_only:
        raise HTTPException(403, "This dashboard is read-only.")
    # The key of forms may come from the server.
    _ = dashboard.shards
    check_form(request, form)
    action = ACTIONS.get(name)
    if action is None:
        raise HTTPException(404, f"There is no action {name!r:.80}.")
    targets = form.get("target", [])
    if not 1 <= len(targets) <= (MAX_TARGETS if action.several else 1):
        raise HTTPException(400, f"{len(targets)} were chosen; choose one" + (" or more." if action.several else "."))
    if action.question and first_value(form, "confirmed") != "yes":
        return _ask_confirmation(request, form, name, action)
    author = dashboard.read_author(request)
    fields = {each: first_value(form, each) for each in ("note", "minutes", "signal", "value")}
    wanted = ActionRequest(targets, author, **fields, fields=read_answer(form))
    message = action.perform(dashboard.namespace, wanted)
    if name.endswith("-job"):
        dashboard.job_watch.forget(ids.job_id(wanted.target))
    return _redirect_back(request, dashboard, form, message)


def read_answer(form: FormValues) -> dict[str, str]:
    """Return the fields of an answer in a form, by their names."""
    return {name.removeprefix("field."): first_value(form, name) for name in form if name.startswith("field.")}


def _ask_confirmation(request: Request, form: FormValues, name: str, action: Action) -> Response:
    targets = form["target"]
    question = action.question.format(targets[0] if len(targets) == 1 else f"{len(targets)} of them")
    return get_dashboard(request).render_page(
        request,
        "confirm.html",
        action=name,
        label=action.label,
        question=question,
        targets=targets,
        takes_note=action.takes_note,
        back=local_path(first_value(form, "back"), get_visit(request).root),
    )


def _redirect_back(request: Request, dashboard: Dashboard, form: FormValues, message: str) -> Response:
    visit = get_visit(request)
    response = RedirectResponse(local_path(first_value(form, "back"), visit.root), 303)
    signed = dashboard.signer.encode("said", message[:MAX_FLASH_LENGTH])
    visit.cookies.set_on(response, visit.cookies.flash, signed, FLASH_LIFETIME_S)
    return response
