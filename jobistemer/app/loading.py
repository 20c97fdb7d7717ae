"""Find the app and the server of a command: by argument or option, environment, or `[tool.jobistemer]`."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from itertools import dropwhile, takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

from jobistemer.app import Jobistemer
from jobistemer.app.project import (
    NAMESPACE_VARIABLE,
    URL_VARIABLE,
    Project,
    find_place,
    find_project,
    tell_app,
)
from jobistemer.core.errors import Misconfigured
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import redact_url


def open_namespace(url: str | None, name: str | None) -> Namespace:
    """Open the namespace that options, environment and project name together; nothing is connected yet."""
    place = find_place(url, name)
    opened = Namespace(place.url.value, place.namespace.value, source=place.source)
    opened.fixes_shards = False
    return opened


def load_app(reference: str | None, url: str | None, name: str | None) -> Jobistemer:
    """Import the app; it connects to `url` and to the namespace `name` unless its code names others.

    Raises Misconfigured when there is no such app, or when its code contradicts `url` or `name`.
    """
    project, chosen = find_project(Path.cwd()), resolve_app_reference(reference)
    # The code of the app connects by itself; it reads the environment, and what follows there.
    for variable, value in ((URL_VARIABLE, url), (NAMESPACE_VARIABLE, name)):
        if value:
            tell_app(variable, value)
    _extend_sys_path(project, reference)
    app = _import_app(chosen)
    _check_no_conflict(chosen, app, url, name)
    # The jobs of the app carry this mark: by it a later deployment knows which registered jobs are its own.
    app.owner = app.owner or chosen
    return app


def import_here(name: str) -> ModuleType:
    """Import a module, also one of the current folder. Raises Misconfigured with the place of an error in it."""
    _extend_sys_path(Project(), name)
    return _import_module(name, f"module {name!r}")


def resolve_app_reference(reference: str | None) -> str:
    """Return the app that is to be loaded, as MODULE:APP. Raises Misconfigured when none is named."""
    chosen = reference or find_project(Path.cwd()).app
    if not chosen:
        raise Misconfigured(
            "no app is given: name it as MODULE:APP, in JOBISTEMER_APP, or in pyproject.toml: "
            '[tool.jobistemer] app = "package.module:app"'
        )
    return chosen


def find_app_folders(reference: str | None) -> list[Path]:
    """Return the folders of the app's source files; nothing is imported. Raises Misconfigured for none."""
    chosen = resolve_app_reference(reference)
    _extend_sys_path(find_project(Path.cwd()), reference)
    top = chosen.partition(":")[0].partition(".")[0]
    spec = find_spec(top) if top else None
    if spec is None:
        raise Misconfigured(f"app {chosen!r}: there is no module {top!r} here, so there is nothing to watch")
    folders = spec.submodule_search_locations or ([str(Path(spec.origin).parent)] if spec.origin else [])
    return [Path(folder) for folder in folders]


def _extend_sys_path(project: Project, reference: str | None) -> None:
    folders = [str(Path.cwd()), *([project.folder] if project.folder and not reference else [])]
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]


def _import_app(reference: str) -> Jobistemer:
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise Misconfigured(f"app {reference!r} must look like MODULE:APP, such as shop:app for `app` in shop.py")
    if module_name.endswith(".py"):
        dotted_name = module_name.removesuffix(".py").replace("/", ".")
        raise Misconfigured(f"app {reference!r} names a file; a module is named without .py: {dotted_name}:{attribute}")
    # Only where something is imported: a process of tests loads its app for each of them.
    with nullcontext() if module_name in sys.modules else paused_collection():
        module = _import_module(module_name, f"app {reference!r}")
    found = getattr(module, attribute, None)
    if not isinstance(found, Jobistemer):
        apps = ", ".join(_find_apps(vars(module))) or "none"
        raise Misconfigured(f"app {reference!r}: {module_name} has no Jobistemer app {attribute!r}; apps there: {apps}")
    return found


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the garbage collector, which would look again and again at thousands of declarations that all stay.

    Afterwards it leaves alone what exists by then, for the life of the process, garbage in cycles as well.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


def _import_module(name: str, whose: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        # The error is in the code of the application: its author needs the place there, not the stack of this package.
        raise Misconfigured(f"{whose}: importing {name} failed: {_describe_error(error, name)}") from error


def _describe_error(error: Exception, module_name: str) -> str:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and module_name.startswith(error.name or " "):
        return f"{text}; looked in the current folder too"
    if isinstance(error, SyntaxError):
        # The text of a syntax error names its place already.
        return text
    place = _find_frame(error)
    return f"{text} ({place.filename}, line {place.lineno})" if place else text


def _find_frame(error: Exception) -> traceback.FrameSummary | None:
    """Return the last frame of the application before the first frame of this package: the place of its mistake."""
    frames = traceback.extract_tb(error.__traceback__)
    after_import = dropwhile(lambda frame: _is_own_frame(frame) or "importlib" in frame.filename, frames)
    app_frames = [
        frame for frame in takewhile(lambda frame: not _is_own_frame(frame), after_import) if "<" not in frame.filename
    ]
    return app_frames[-1] if app_frames else None


def _is_own_frame(frame: traceback.FrameSummary) -> bool:
    return Path(__file__).parents[1] in Path(frame.filename).parents


def _find_apps(names: dict[str, Any]) -> Iterator[str]:
    return (name for name, value in names.items() if isinstance(value, Jobistemer))


def _check_no_conflict(reference: str, app: Jobistemer, url: str | None, name: str | None) -> None:
    own = app.namespace
    if url and own.url != url:
        raise Misconfigured(
            f"app {reference!r} says url={redact_url(own.url)!r} itself, but {redact_url(url)!r} was asked for: "
            "leave url out of Jobistemer(…), or do not ask for another one"
        )
    if name and own.name != name:
        raise Misconfigured(
            f"app {reference!r} says namespace={own.name!r} itself, but {name!r} was asked for: "
            "leave namespace out of Jobistemer(…), or do not ask for another one"
        )
