"""The search field: it redirects to the page of a name or an id."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.web.charts.templating import quote_segment
from jobistemer.web.security.visit import get_visit

_PATHS = {"occ_": "occurrences", "run_": "runs"}


def search(request: Request) -> Response:
    """Redirect to the page of an occurrence or a run by its id, else to that of a job by its name."""
    query = request.query_params.get("q", "").strip()
    if not query:
        return RedirectResponse(f"{get_visit(request).root}/jobs", 303)
    # Ids of attempts are not among them: an attempt is shown on the page of its run, which its id does not contain.
    return RedirectResponse(f"{get_visit(request).root}/{_PATHS.get(query[:4], 'jobs')}/{quote_segment(query)}", 303)
