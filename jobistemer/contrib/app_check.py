"""The check of what integrations are given as an app."""

from __future__ import annotations

from jobistemer.app import Jobistemer
from jobistemer.core.checks import show
from jobistemer.core.errors import Misconfigured


def check_app(what: str, app: object) -> Jobistemer:
    """Return an app. Raises Misconfigured for anything else, such as the MODULE:APP that commands take."""
    if not isinstance(app, Jobistemer):
        raise Misconfigured(f"{what} is given {show(app)} as its app, allowed is the object: app = Jobistemer()")
    return app
