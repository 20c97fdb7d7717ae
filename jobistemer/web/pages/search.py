"""From a name or an id to its page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobistemer.web.charts.templating import quote_segment

_PATHS = {"occ_": "occurrences", "run_": "runs"}


def search(request: Request) -> Response:
    """Go where an id or the name of a job leads."""
    query = request.query_params.get("q", "").strip()
    if not query:
        return RedirectResponse("/jobs", 303)
    # An attempt's page is that of its run, which its id does not tell; what is none of these is a job's name.
    return RedirectResponse(f"/{_PATHS.get(query[:4], 'jobs')}/{quote_segment(query)}", 303)
