"""The dashboard: pages about one namespace and actions on it, rendered on the server, without a database of its own.

application   the routes
server        the server process behind `jobistemer dashboard`
pages/        one function for each page; `actions` receives the forms, `errors` renders errors
shared/       shared by the pages: the namespace, settings, the table of actions, forms, pagination, the deadline
charts/       timelines and Gantt charts as values for templates, and the environment of the templates
security/     runs before every request: allowed hosts, token and pass, security headers; signs cookies and forms

`dashboard` mounts it in an application. It and `shared.settings` can be imported without the extra
`jobistemer[dashboard]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobistemer.core.checks import show
from jobistemer.core.errors import Misconfigured
from jobistemer.web.shared.settings import build_mounted_settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from jobistemer.app import Jobistemer

__all__ = ["dashboard"]


def dashboard(
    app: Jobistemer,
    *,
    hosts: Iterable[str] = (),
    read_only: bool = False,
    by: str = "",
    user_header: str = "",
    token: str = "",
) -> Starlette:
    """Return the dashboard of the namespace of an app, as an ASGI application to mount in another one.

    `api.mount("/jobs", dashboard(app))`. It asks for no token unless one is given: what it is mounted in decides who
    may come in. hosts: the names by which it is reached, beside `localhost` and addresses. read_only: refuse actions.
    by: the name for audit lists. user_header: the header in which a proxy or a middleware names the user, instead of
    `by`. token: required from every user.
    Raises Misconfigured, or InvalidInput for a name that cannot be recorded.
    """
    if not hasattr(app, "namespace"):
        raise Misconfigured(f"the dashboard is given {show(app)} as its app, allowed is the object: app = Jobistemer()")
    from jobistemer.web.application import make_application  # noqa: PLC0415 - an extra, which few applications have

    settings = build_mounted_settings(hosts, read_only=read_only, by=by, user_header=user_header, token=token)
    return make_application(app.namespace, settings)
