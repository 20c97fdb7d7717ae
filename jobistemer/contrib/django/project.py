"""The app of a Django project, made of its settings.

Commands and processes load `jobistemer.contrib.django.project:app`: importing it sets Django up, by the settings module
that DJANGO_SETTINGS_MODULE names.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.db import close_old_connections

from jobistemer.app import Jobistemer
from jobistemer.core.checks import show
from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.context import Context
from jobistemer.core.jobs.options import Options

REFERENCE = "jobistemer.contrib.django.project:app"
_NAMES = {"URL": "url", "NAMESPACE": "namespace", "SHARDS": "shards"}
_KNOWN = (*_NAMES, "DEFAULTS", "DASHBOARD_URL")


@lru_cache(maxsize=1)
def get_app() -> Jobistemer:
    """Return the app of this project; it is made at the first call.

    The setting JOBISTEMER has URL, NAMESPACE, SHARDS, DEFAULTS (options of every task) and DASHBOARD_URL; what it does
    not say comes from the environment, as without Django. Raises Misconfigured.
    """
    given = read_settings()
    values = {argument: given[name] for name, argument in _NAMES.items() if name in given}
    defaults = given.get("DEFAULTS", {})
    if not isinstance(defaults, Mapping | Options):
        raise Misconfigured(f"JOBISTEMER['DEFAULTS'] is {show(defaults)}, allowed are options by name")
    try:
        options = defaults if isinstance(defaults, Options) else Options(**defaults)
    except TypeError as error:
        raise Misconfigured(f"JOBISTEMER['DEFAULTS']: {error}") from None
    app = Jobistemer(**values, defaults=options)
    app.middleware(_close_connections)
    return app


def read_settings() -> Mapping[str, Any]:
    """Return the setting JOBISTEMER. Raises Misconfigured for one that is no dictionary or has an unknown name."""
    given = getattr(settings, "JOBISTEMER", {})
    if not isinstance(given, Mapping):
        raise Misconfigured(f"the setting JOBISTEMER is {show(given)}, allowed is a dictionary")
    if unknown := set(given) - set(_KNOWN):
        raise Misconfigured(f"the setting JOBISTEMER has {min(unknown)!r}; known are {', '.join(_KNOWN)}")
    return given


@contextmanager
def _close_connections(context: Context) -> Iterator[None]:
    """Close connections of the database that are broken or too old, before and after each run of a thread.

    A coroutine function has its connections in threads of asgiref, where Django's async interface looks after them.
    """
    handler = get_app().handlers.get(context.handler)
    is_coroutine = handler is not None and (handler.is_coroutine or inspect.iscoroutinefunction(handler.function))
    if not is_coroutine:
        close_old_connections()
    try:
        yield
    finally:
        if not is_coroutine:
            close_old_connections()


def __getattr__(name: str) -> Any:
    """Return `app`, with Django set up. Raises AttributeError."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not apps.ready:
        django.setup()
    return get_app()
