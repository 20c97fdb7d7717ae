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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo

from jobistemer.app import Jobistemer
from jobistemer.contrib.role_commands import RoleCommands
from jobistemer.core.checks import show
from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.context import Context
from jobistemer.store.namespace import Namespace

EXTENSION = "jobistemer"
"""The name of the app among the extensions of a Flask application: `current_app.extensions["jobistemer"]`."""
REFERENCE = "jobistemer.contrib.flask:app"
"""The app that commands load: that of the Flask application which FLASK_APP names."""


class FlaskJobistemer:
    """The extension: it belongs to one app of Jobistemer, and to the Flask application that was set up last.

    jobs: the app. flask_app: set up at once; with a factory call `init_app` there. Raises Misconfigured.
    """

    def __init__(self, jobs: Jobistemer, flask_app: Flask | None = None) -> None:
        if not isinstance(jobs, Jobistemer):
            raise Misconfigured(
                f"the extension is given {show(jobs)}, allowed is an app: FlaskJobistemer(Jobistemer())"
            )
        self.jobs = jobs
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


def __getattr__(name: str) -> Any:
    """Return `app`: the app of the Flask application that FLASK_APP names. Raises AttributeError, or Misconfigured."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with ScriptInfo(os.environ.get("FLASK_APP"), set_debug_flag=False).load_app().app_context():
        return get_jobistemer()
