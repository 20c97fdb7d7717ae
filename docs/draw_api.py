"""Draw docs/reference/api.md, errors.md and testing.md from the sources of the public names, so that the pages cannot go stale.

python docs/draw_api.py
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import jobistemer
from jobistemer.app.job_control import AppJobControl
from jobistemer.app.job_declaration import JobDeclaration
from jobistemer.contrib.answer_links import AnswerLinks
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.control.queues import Holds, QueueControl
from jobistemer.core import errors
from jobistemer.core.schedules import EveryBuilder, Ready
from jobistemer.testing import Call, HandlerFailed, Jobs, Occurrence, under_test

API = Path(__file__).parent / "reference" / "api.md"
ERRORS = Path(__file__).parent / "reference" / "errors.md"
TESTING = Path(__file__).parent / "reference" / "testing.md"
LINE = 110

API_HEAD = """# Python API

Drawn from the sources by `docs/draw_api.py`. What stands under *from jobistemer* is public and follows semantic versioning; what
stands under *handed out* is met by attribute or as what a method gives.
"""
ERRORS_HEAD = """# Errors

Drawn from `jobistemer/core/errors.py` by `docs/draw_api.py`. All are imported from `jobistemer`, and every one is a `JobistemerError`.
The first level says whose fault it is, because that decides what a caller does about it. Messages say what was wrong, with the value,
and what to do; on the command line the message is the one line on standard error, and the exit code is 1.
"""
TESTING_HEAD = """# Testing an application

Drawn from the sources by `docs/draw_api.py`. [Test an application](../how-to/test-an-application.md) shows it at work.

| fixture | |
| --- | --- |
| `jobs` | `Jobs`, with the app at an in-memory server of this test's own and a clock that stands still |
| `jobistemer_app` | the app under test; to be overridden by suites whose app is made by a factory |

| ini option | |
| --- | --- |
| `jobistemer_app` | the app under test as `MODULE:APP`; without it `JOBISTEMER_APP`, else `[tool.jobistemer] app` in pyproject.toml |
| `jobistemer_now` | the instant at which each test begins, such as `2027-01-15T08:00:00Z`; without it the present, to the second |
"""
CONTRIB = {"jobistemer.contrib.answer_links": AnswerLinks}
HANDED_OUT = {
    "what `app.job(…)` gives": JobDeclaration,
    "what `app.every(…)` gives; a unit or a weekday follows": EveryBuilder,
    "what a unit or `app.at(…)` gives": Ready,
    "`app.control`": AppJobControl,
    "`app.queues`": QueueControl,
    "`app.holds`": Holds,
    "`app.dead`": DeadLetters,
}


def api_page() -> str:
    """The page of the public names."""
    public = [getattr(jobistemer, name) for name in jobistemer.__all__]
    classes = sorted({each for each in public if inspect.isclass(each)}, key=lambda each: each.__name__)
    parts = [API_HEAD, "## from jobistemer", "", "`NO_RETRIES` is the retry policy `Delays()`.", ""]
    parts += ["[Errors](errors.md) are imported from `jobistemer` too.", ""]
    parts += [section(each) for each in classes if not issubclass(each, errors.JobistemerError)]
    parts += [function_section(each) for each in public if inspect.isfunction(each)]
    parts += ["## From jobistemer.contrib", ""]
    parts += [section(each, f"from `{where}`") for where, each in CONTRIB.items()]
    parts += ["## Handed out", ""]
    parts += [section(each, where) for where, each in HANDED_OUT.items()]
    return "\n".join(parts)


def testing_page() -> str:
    """The page of what tests of applications use."""
    told = inspect.cleandoc(under_test.__doc__ or "")
    given = "under_test(app: Jobistemer, *, at: When | None = None)"
    parts = [
        TESTING_HEAD,
        "## from jobistemer.testing",
        "",
        "### under_test",
        "",
        "```text",
        given,
        "```",
        "",
        told,
        "",
    ]
    parts += [section(each) for each in (Jobs, Call, Occurrence, HandlerFailed)]
    return "\n".join(parts)


def errors_page() -> str:
    """The page of the errors, as a tree and with what each one means."""
    found = list(tree(errors.JobistemerError))
    drawing = [f"{'    ' * depth}{each.__name__}" for depth, each in found]
    rows = [f"| `{each.__name__}` | {also(each)} | {paragraph(each.__doc__)} |" for _, each in found]
    table = ["| error | is also a | |", "| --- | --- | --- |", *rows, ""]
    return "\n".join([ERRORS_HEAD, "```text", *drawing, "```", "", *table])


def tree(error: type[Exception], depth: int = 0) -> Iterator[tuple[int, type[Exception]]]:
    """An error and those below it, in the order in which they are defined."""
    yield depth, error
    for each in error.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from tree(each, depth + 1)


def also(error: type[Exception]) -> str:
    """The built-in errors that catch it too."""
    own = [each.__name__ for each in error.__bases__ if each.__module__ == "builtins" and each is not Exception]
    return ", ".join(f"`{name}`" for name in own) or "–"


def section(kind: type, where: str = "") -> str:
    """One class: how it is made, what it is, what it can do."""
    title = f"### {kind.__name__}" + (f": {where}" if where else "")
    given = fields(kind)
    made = f"{kind.__name__}({', '.join(given)})"
    if len(made) > LINE:
        made = "\n".join([f"{kind.__name__}(", *(f"    {each}," for each in given), ")"])
    methods = [f"- `{name}{signature}`  \n  {what}" for name, (signature, what) in sorted(members(kind).items())]
    return "\n".join([title, "", "```text", made, "```", "", inspect.cleandoc(kind.__doc__ or ""), "", *methods, ""])


def function_section(function: FunctionType) -> str:
    """Return the section of one function: its signature and its docstring."""
    source = next(node for node in ast.parse(inspect.getsource(function)).body if isinstance(node, ast.FunctionDef))
    made = f"{function.__name__}({', '.join(arguments(source, 0))}) -> {ast.unparse(source.returns)}"
    return "\n".join(
        [f"### {function.__name__}", "", "```text", made, "```", "", inspect.cleandoc(function.__doc__ or ""), ""]
    )


def fields(kind: type) -> list[str]:
    """What a class is made with, as it is written."""
    for node in lineage(kind):
        for each in node.body:
            if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                return arguments(each)
    return [line for node in reversed(lineage(kind)) for line in struct_fields(node)]


def struct_fields(node: ast.ClassDef) -> Iterator[str]:
    """The fields of a struct."""
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.target.id[0] != "_":
            yield ast.unparse(each)


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef, skipped: int = 1) -> list[str]:
    """Return the parameters, each as it is written, without the first `skipped`: a method's `self`."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    found = [parameter(each, default) for each, default in zip(positional, defaults, strict=True)][skipped:]
    found += [f"*{given.vararg.arg}"] if given.vararg else []
    found += ["*"] if given.kwonlyargs and not given.vararg else []
    found += [parameter(each, value) for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return found + ([f"**{given.kwarg.arg}"] if given.kwarg else [])


def parameter(found: ast.arg, default: ast.expr | None) -> str:
    """One parameter."""
    text = ast.unparse(found)
    return text if default is None else f"{text}{' = ' if found.annotation else '='}{ast.unparse(default)}"


def twins(node: ast.stmt) -> Iterator[str]:
    """The method that a statement such as `pause_async = twin(pause)` makes."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="twin" | "twin_iterator"))):
            yield name
        case _:
            return


def members(kind: type) -> dict[str, tuple[str, str]]:
    """The public methods and properties of a class, inherited ones included, with what they are."""
    found: dict[str, tuple[str, str]] = {}
    for node in lineage(kind):
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name[0] != "_":
                marks = {ast.unparse(mark).rpartition(".")[2] for mark in each.decorator_list}
                if each.name not in found and "overload" not in marks:
                    found[each.name] = (signature_of(each, marks), paragraph(ast.get_docstring(each)))
            for name in twins(each):
                found.setdefault(name, ("(…)", f"Do what `{name.removesuffix('_async')}` does, awaited."))
    return found


def signature_of(function: ast.FunctionDef | ast.AsyncFunctionDef, marks: set[str]) -> str:
    """What stands behind the name of a method; nothing for the brackets of a property."""
    gives = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    if "property" in marks:
        return gives.replace(" -> ", ": ")
    awaited = ", awaited" if isinstance(function, ast.AsyncFunctionDef) else ""
    return f"({', '.join(arguments(function))}){gives}{awaited}"


def lineage(kind: type) -> list[ast.ClassDef]:
    """The sources of a class and of those of ours that it is made of."""
    found = []
    for each in kind.__mro__:
        if each.__module__.startswith("jobistemer"):
            source = ast.parse(inspect.getsource(inspect.getmodule(each)))  # type: ignore[arg-type]
            found += [node for node in source.body if isinstance(node, ast.ClassDef) and node.name == each.__name__]
    return found


def paragraph(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    API.write_text(api_page(), encoding="utf-8")
    ERRORS.write_text(errors_page(), encoding="utf-8")
    TESTING.write_text(testing_page(), encoding="utf-8")
