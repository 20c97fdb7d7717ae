"""Where a command finds its app and its server: argument or option, environment, `[tool.jobistemer]`."""

from __future__ import annotations

import os
import sys
import tomllib
import traceback
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

import msgspec

from jobistemer.app import Jobistemer
from jobistemer.core.errors import Misconfigured
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import DEFAULT_URL, redacted

DEFAULT_NAMESPACE = "jobistemer"


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `[tool.jobistemer]` in pyproject.toml says; folder is where the file is.

    worker, ticker: options of `jobistemer-worker` and `jobistemer-ticker` by their long names.
    """

    app: str = ""
    url: str = ""
    namespace: str = ""
    worker: dict[str, Any] = {}
    ticker: dict[str, Any] = {}
    folder: str = ""


def find_project(start: Path) -> Project:
    """Read the nearest `[tool.jobistemer]` in `start` or above. Raises Misconfigured when it is wrong."""
    for file in (folder / "pyproject.toml" for folder in (start, *start.parents)):
        if not file.is_file():
            continue
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("jobistemer")
            if table is not None:
                return msgspec.convert({**table, "folder": str(file.parent)}, Project)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{file}: [tool.jobistemer] cannot be used: {error}") from error
    return Project()


def open_namespace(url: str | None, name: str | None) -> Namespace:
    """The namespace that options, environment and project name together; nothing is connected yet."""
    project = find_project(Path.cwd())
    return Namespace(url or project.url or DEFAULT_URL, name or project.namespace or DEFAULT_NAMESPACE)


def load_app(reference: str | None, url: str | None, name: str | None) -> Jobistemer:
    """Import the app; `url` and `name` are what it connects to unless it names something itself.

    Raises Misconfigured when there is no such app, or when it contradicts `url` or `name`.
    """
    project, chosen = find_project(Path.cwd()), app_reference(reference)
    # The app's own code enqueues too, so it has to find the same server; the environment is how it is told.
    for variable, value in (
        ("JOBISTEMER_URL", url or project.url),
        ("JOBISTEMER_NAMESPACE", name or project.namespace),
    ):
        if value:
            os.environ[variable] = value
    _find_modules(project, reference)
    app = _imported(chosen)
    _check_agreement(chosen, app, url, name)
    # Its jobs carry this mark, by which a later deployment knows which ones were its own.
    app.owner = app.owner or chosen
    return app


def app_reference(reference: str | None) -> str:
    """The app that is meant, as MODULE:APP. Raises Misconfigured when none is."""
    chosen = reference or find_project(Path.cwd()).app
    if not chosen:
        raise Misconfigured(
            "no app is given: name it as MODULE:APP, in JOBISTEMER_APP, or in pyproject.toml: "
            '[tool.jobistemer] app = "package.module:app"'
        )
    return chosen


def app_folders(reference: str | None) -> list[Path]:
    """Where the source files of the app are; nothing is imported. Raises Misconfigured when there are none."""
    chosen = app_reference(reference)
    _find_modules(find_project(Path.cwd()), reference)
    top = chosen.partition(":")[0].partition(".")[0]
    spec = find_spec(top) if top else None
    if spec is None:
        raise Misconfigured(f"app {chosen!r}: there is no module {top!r} here, so there is nothing to watch")
    folders = spec.submodule_search_locations or ([str(Path(spec.origin).parent)] if spec.origin else [])
    return [Path(folder) for folder in folders]


def _find_modules(project: Project, reference: str | None) -> None:
    folders = [str(Path.cwd()), *([project.folder] if project.folder and not reference else [])]
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]


def _imported(reference: str) -> Jobistemer:
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise Misconfigured(f"app {reference!r} must look like MODULE:APP, such as shop:app for `app` in shop.py")
    if module_name.endswith(".py"):
        meant = module_name.removesuffix(".py").replace("/", ".")
        raise Misconfigured(f"app {reference!r} names a file; a module is named without .py: {meant}:{attribute}")
    try:
        module = import_module(module_name)
    except Exception as error:
        # Whatever goes wrong in there is the application's; its author needs the place, not our own stack.
        raise Misconfigured(
            f"app {reference!r}: importing {module_name} failed: {_described(error, module_name)}"
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, Jobistemer):
        apps = ", ".join(_apps_in(vars(module))) or "none"
        raise Misconfigured(
            f"app {reference!r}: {module_name} has no Jobistemer app {attribute!r}; apps there: {apps}"
        )
    return found


def _described(error: Exception, module_name: str) -> str:
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and module_name.startswith(error.name or " "):
        return f"{said}; looked in the current folder too"
    if isinstance(error, SyntaxError):
        # Where it is stands in what it says.
        return said
    place = _place(error)
    return f"{said} ({place.filename}, line {place.lineno})" if place else said


def _place(error: Exception) -> traceback.FrameSummary | None:
    """The last line of the application's before our own code noticed: what is wrong is to be mended there."""
    frames = traceback.extract_tb(error.__traceback__)
    began = dropwhile(lambda frame: _is_ours(frame) or "importlib" in frame.filename, frames)
    theirs = [frame for frame in takewhile(lambda frame: not _is_ours(frame), began) if "<" not in frame.filename]
    return theirs[-1] if theirs else None


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return Path(__file__).parents[1] in Path(frame.filename).parents


def _apps_in(names: dict[str, Any]) -> Iterator[str]:
    return (name for name, value in names.items() if isinstance(value, Jobistemer))


def _check_agreement(reference: str, app: Jobistemer, url: str | None, name: str | None) -> None:
    own = app.namespace
    if url and own.url != url:
        raise Misconfigured(
            f"app {reference!r} says url={redacted(own.url)!r} itself, but {redacted(url)!r} was asked for: "
            "leave url out of Jobistemer(…), or do not ask for another one"
        )
    if name and own.name != name:
        raise Misconfigured(
            f"app {reference!r} says namespace={own.name!r} itself, but {name!r} was asked for: "
            "leave namespace out of Jobistemer(…), or do not ask for another one"
        )
