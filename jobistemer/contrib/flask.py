"""Flask: an application context around each run, the app in views, and `flask jobistemer …`.

    pip install 'jobistemer[flask]'

    jobs = Jobistemer()
    jobs_of_flask = FlaskJobistemer(jobs)

    def create_app() -> Flask:
        app = Flask(__name__)
        jobs_of_flask.init_app(app)
        return app

`flask --app shop jobistemer worker` and `… ticker` start these roles with the Flask application set up; the other
commands are those of `jobistemer`. Processes of `--processes` and `executor="process"` load the same Flask application.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask, Response, abort, current_app, request
from flask.cli import ScriptInfo

from jobistemer.app import Jobistemer
from jobistemer.contrib.app_check import check_app
from jobistemer.contrib.dashboard_bridge import BridgedRequest, call_dashboard
from jobistemer.contrib.role_commands import RoleCommands
from jobistemer.core.checks import show
from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.context import Context
from jobistemer.store.namespace import Namespace
from jobistemer.web import dashboard
from jobistemer.web.security.middleware import needs_login

EXTENSION = "jobistemer"
"""The name of the app among the extensions of a Flask application: `current_app.extensions["jobistemer"]`."""
REFERENCE = "jobistemer.contrib.flask:app"
"""The app that commands load: that of the Flask application which FLASK_APP names."""
DASHBOARD = "jobistemer_dashboard"
"""The endpoint of the dashboard: `url_for("jobistemer_dashboard")`."""


class FlaskJobistemer:
    """The extension: it belongs to one app of Jobistemer, and to the Flask application that was set up last.

    jobs: the app. flask_app: set up at once; with a factory call `init_app` there. Raises Misconfigured.
    """

    def __init__(self, jobs: Jobistemer, flask_app: Flask | None = None) -> None:
        self.jobs = check_app("the extension", jobs)
        self._flask_app: Flask | None = None
        jobs.middleware(self._provide_context)
        if flask_app is not None:
            self.init_app(flask_app)

    def init_app(self, flask_app: Flask) -> None:
        """Set a Flask application up: runs have its context, and `flask jobistemer …` has this app."""
        self._flask_app = flask_app
        flask_app.extensions[EXTENSION] = self.jobs
        flask_app.cli.add_command(FlaskCommands(EXTENSION, help="Run and look after the jobs of this application."))

    @contextmanager
    def _provide_context(self, context: Context) -> Iterator[None]:
        if self._flask_app is None:
            raise Misconfigured(
                f"task {context.handler!r} runs where no Flask application was made: start the worker with "
                "`flask --app … jobistemer worker`, or call init_app in the module that it imports"
            )
        # Functions of `teardown_appcontext` get the exception of the attempt.
        with self._flask_app.app_context():
            yield


class FlaskCommands(RoleCommands):
    """The commands for the app of a Flask application."""

    reference = REFERENCE

    def find_namespace(self, ctx: click.Context) -> Namespace:
        """Return the namespace of the app that belongs to the Flask application."""
        with ctx.ensure_object(ScriptInfo).load_app().app_context():
            return get_jobistemer().namespace

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and let it and the processes that it starts load the Flask application."""
        info = ctx.find_object(ScriptInfo)
        if info is not None and info.app_import_path:
            os.environ["FLASK_APP"] = info.app_import_path
        return super().resolve_command(ctx, args)


def get_jobistemer() -> Jobistemer:
    """Return the app of the current Flask application. Raises Misconfigured when the extension was not set up."""
    found = current_app.extensions.get(EXTENSION)
    if not isinstance(found, Jobistemer):
        raise Misconfigured("this Flask application has no jobs: FlaskJobistemer(jobs).init_app(app)")
    return found


def mount_dashboard(
    flask_app: Flask,
    path: str,
    jobs: Jobistemer,
    *,
    authorize: Callable[[], Any],
    hosts: Iterable[str] = (),
    read_only: bool = False,
    endpoint: str = DASHBOARD,
) -> None:
    """Serve the dashboard of an app under a path of a Flask application, for the users whom `authorize` lets in.

    authorize: called within each request. It returns the name of the user, which audit lists show; or a response, such
    as a redirect to the login; or None, and the request is refused (403). hosts: see `jobistemer.web.dashboard`.
    endpoint: the name for `url_for`; each dashboard of a Flask application has one of its own.

    It needs the extra `jobistemer[dashboard]`. Raises Misconfigured.
    """
    if not callable(authorize):
        raise Misconfigured(f"authorize is {show(authorize)}, allowed is a function that returns the name of the user")
    if endpoint in flask_app.view_functions:
        raise Misconfigured(f"endpoint {show(endpoint)} is taken: give this dashboard another one, endpoint=…")
    names = hosts if isinstance(hosts, str) else tuple(hosts)
    prefix, inner = f"/{path.strip('/')}".rstrip("/"), dashboard(jobs, hosts=names, read_only=read_only)
    _check_static(flask_app, prefix, names, [getattr(route, "path", "") for route in inner.routes])

    def show_dashboard(**_parts: str) -> Any:
        if not needs_login(request.path.removeprefix(prefix)):
            return _call_dashboard(inner, prefix, user="")
        user = authorize()
        if user is None or user == "":
            abort(403)
        return _call_dashboard(inner, prefix, user) if isinstance(user, str) else user

    for rule in (f"{prefix}/", f"{prefix}/<path:rest>"):
        # With host_matching a rule without a host fits no request. The dashboard itself checks the host.
        host = "<jobistemer_host>" if flask_app.url_map.host_matching else None
        flask_app.add_url_rule(rule, endpoint, show_dashboard, methods=["GET", "POST"], host=host)


def _check_static(flask_app: Flask, prefix: str, hosts: Iterable[str], paths: Iterable[str]) -> None:
    """Refuse a path under which the rule of Flask for its own static files would answer for pages, with 404."""
    taken = flask_app.static_url_path if flask_app.has_static_folder else None
    if flask_app.url_map.host_matching and taken is not None:
        # The static files are on a host of their own, which is another one than those of the dashboard as a rule.
        theirs = {(rule.host or "").partition(":")[0].lower() for rule in flask_app.url_map.iter_rules("static")}
        taken = taken if theirs & {"localhost", *(name.lower().rstrip(".") for name in hosts)} else None
    # Of rules that fit, that with the longer fixed part counts, then that which was added first.
    hidden = tuple(f"{prefix}/{path.split('/')[1]}/" for path in paths if path.strip("/"))
    if taken is not None and (taken == prefix or f"{taken}/".startswith(hidden)):
        raise Misconfigured(
            f"the dashboard at {show(prefix or '/')} and the static files of this Flask application, at "
            f"{show(taken or '/')}, take the same paths: make it with Flask(…, static_folder=None) or another "
            "static_url_path, or give the dashboard another path"
        )


def _call_dashboard(inner: Any, prefix: str, user: str) -> Response:
    asked = BridgedRequest(
        method=request.method,
        scheme=request.scheme,
        host=request.host,
        root=request.root_path.rstrip("/") + prefix,
        path=request.root_path.rstrip("/") + request.path,
        query=request.query_string.decode("latin-1"),
        headers=request.headers.items(),
        body=request.get_data(),
        client=request.remote_addr or "",
        user=user,
    )
    answer = call_dashboard(inner, asked)
    return Response(answer.body, answer.status, answer.headers)


def __getattr__(name: str) -> Any:
    """Return `app`: the app of the Flask application that FLASK_APP names. Raises AttributeError, or Misconfigured."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with ScriptInfo(os.environ.get("FLASK_APP"), set_debug_flag=False).load_app().app_context():
        return get_jobistemer()
