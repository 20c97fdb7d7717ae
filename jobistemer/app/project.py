"""Where the settings of a process come from: the constructor or an option, the environment, pyproject.toml, a default.

One order for all processes: a web process that enqueues and a worker that executes find the same server and namespace.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from jobistemer.core.errors import InvalidInput, Misconfigured
from jobistemer.core.jobs.options import Options, merge_options
from jobistemer.store.server.connection import DEFAULT_URL

URL_VARIABLE: Final = "JOBISTEMER_URL"
NAMESPACE_VARIABLE: Final = "JOBISTEMER_NAMESPACE"
DEFAULT_NAMESPACE: Final = "jobistemer"


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[tool.jobistemer]` of a pyproject.toml; folder: the folder of this file.

    worker, ticker: options of `jobistemer-worker` and `jobistemer-ticker` by their long names.
    """

    app: str = ""
    url: str = ""
    namespace: str = ""
    worker: dict[str, Any] = {}
    ticker: dict[str, Any] = {}
    folder: str = ""


class Setting(NamedTuple):
    """A value, and the words that say where it comes from."""

    value: str
    source: str


class Place(NamedTuple):
    """The server and the namespace of a process."""

    url: Setting
    namespace: Setting

    @property
    def source(self) -> str:
        """Return where both come from, for the line that a process logs at its start."""
        return f"namespace from {self.namespace.source}, URL from {self.url.source}"


def find_project(start: Path) -> Project:
    """Read the nearest `[tool.jobistemer]` in `start` or above; an empty Project when there is none.

    Raises Misconfigured when the file or the table is wrong.
    """
    for file in (folder / "pyproject.toml" for folder in (start, *start.parents)):
        if not file.is_file():
            continue
        import tomllib  # noqa: PLC0415 - a process in a container finds no such file; see docs/decisions/0003

        try:
            table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("jobistemer")
            if table is not None:
                return msgspec.convert({**table, "folder": str(file.parent)}, Project)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{file}: [tool.jobistemer] cannot be used: {error}") from error
    return Project()


def find_place(url: str | None, namespace: str | None) -> Place:
    """Return the server and the namespace: as given here, else by the environment, else by the nearest pyproject.toml.

    The file is looked for in the current folder and above. Raises Misconfigured when it is needed and wrong.
    """
    named = _find_named(url, URL_VARIABLE), _find_named(namespace, NAMESPACE_VARIABLE)
    # A process that is told both does not depend on the folder that it was started in.
    project = Project() if all(named) else find_project(Path.cwd())
    file = str(Path(project.folder, "pyproject.toml"))
    from_url, from_namespace = named
    return Place(
        from_url or _fall_back(project.url, file, DEFAULT_URL),
        from_namespace or _fall_back(project.namespace, file, DEFAULT_NAMESPACE),
    )


DEFAULT_VARIABLES: Final = {
    "JOBISTEMER_DEFAULT_TIMEOUT": "timeout_s",
    "JOBISTEMER_DEFAULT_MAX_RETRIES": "retry",
    "JOBISTEMER_DEFAULT_RETENTION": "retention_s",
    "JOBISTEMER_DEFAULT_DEAD_RETENTION": "dead_retention_s",
    "JOBISTEMER_DEFAULT_DEAD_LETTERS": "dead_letters",
}
"""The options of all tasks that the environment may set, where the app sets none: seconds, a number, or yes and no."""
_WORDS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def add_default_options(of_app: Options) -> Options:
    """Return the options of all tasks: those of the app, and where it sets none those of the environment.

    Raises Misconfigured for a value that cannot be.
    """
    found: dict[str, Any] = {}
    for variable, field in DEFAULT_VARIABLES.items():
        if text := os.environ.get(variable):
            found[field] = _read_default(variable, field, text)
    return merge_options(Options(**found), of_app) if found else of_app


def _read_default(variable: str, field: str, text: str) -> Any:
    try:
        value: Any = _WORDS[text.lower()] if field == "dead_letters" else (int if field == "retry" else float)(text)
        Options(**{field: value})
    except (KeyError, ValueError, InvalidInput) as error:
        allowed = {"dead_letters": "yes and no", "retry": "a whole number"}.get(field, "a number of seconds")
        why = error if isinstance(error, InvalidInput) else f"allowed is {allowed}"
        raise Misconfigured(f"{variable} is {text!r:.100}: {why}") from None
    return value


_told: dict[str, Setting] = {}


def tell_app(variable: str, value: str, source: str = "the command line") -> None:
    """Set a variable for the code of the app that is loaded next, and for child processes. source: where it is from."""
    if os.environ.get(variable) != value:
        _told[variable] = Setting(value, source)
        os.environ[variable] = value


def _find_named(given: str | None, variable: str) -> Setting | None:
    by_environment = os.environ.get(variable)
    if given and given != by_environment:
        return Setting(given, "the call or the command line")
    if not by_environment:
        return None
    told = _told.get(variable)
    return told if told is not None and told.value == by_environment else Setting(by_environment, variable)


def _fall_back(by_project: str, file: str, default: str) -> Setting:
    return Setting(by_project, file) if by_project else Setting(default, "the default")
