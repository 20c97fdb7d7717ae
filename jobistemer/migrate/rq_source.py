"""Find the functions that a code base hands to RQ by `queue.enqueue(function, …)`, by reading its source.

RQ keeps no list of them. A file is read as a tree of syntax: which calls it makes, and what its names were imported as.
Nothing is executed here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jobistemer.core.errors import InvalidInput

# How many arguments stand before the function.
_CALLS = {"enqueue": 0, "enqueue_call": 0, "prepare_data": 0, "enqueue_at": 1, "enqueue_in": 1}
_OF_RQ_SCHEDULER = {"schedule": 1, "cron": 1}
_OPTIONS = frozenset(
    {
        *("job_timeout", "timeout", "result_ttl", "ttl", "failure_ttl", "depends_on", "retry", "at_front", "meta"),
        *("on_success", "on_failure", "on_stopped", "repeat", "interval", "queue_name", "unique", "pipeline"),
    }
)
_QUEUE = re.compile(r"queue|scheduler|\brq\b|(^|[._])q$", re.IGNORECASE)
_SKIPPED = frozenset({"site-packages", "node_modules", "__pycache__", "build", "dist"})
MAX_FILE_BYTES = 1_000_000


class EnqueuedFunction(NamedTuple):
    """A call that hands a function to RQ.

    place: file:line. reference: MODULE:NAME of the function, empty where the source does not tell it. text: the
    function as it is written. options: those of RQ, as they are written.
    """

    place: str
    reference: str
    text: str
    options: tuple[str, ...]


class SourceTree(NamedTuple):
    """What was found below a folder. root: the folder from which its modules are imported. unread: file and reason.

    decorated: modules that have functions with RQ's `@job`.
    """

    root: Path
    calls: list[EnqueuedFunction]
    decorated: list[str]
    unread: list[tuple[str, str]]


def read_source_tree(folder: str) -> SourceTree:
    """Read all Python files below a folder. Raises InvalidInput for one that is no folder, or has none."""
    start = Path(folder)
    if not start.is_dir():
        raise InvalidInput(f"--source {folder!r} is no folder; give the folder of the application's Python files")
    root = start.resolve()
    while (root / "__init__.py").exists():
        root = root.parent
    tree = SourceTree(root, [], [], [])
    files = sorted(_list_files(start))
    if not files:
        raise InvalidInput(f"--source {folder!r} has no Python files")
    for path in files:
        _read_file(path, tree)
    return tree


def _list_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).parts
        # A virtual environment has this file at its top.
        is_foreign = any(part in _SKIPPED or part.startswith(".") for part in parts) or any(
            (folder.joinpath(*parts[:depth]) / "pyvenv.cfg").exists() for depth in range(1, len(parts))
        )
        if not is_foreign:
            yield path


def _read_file(path: Path, tree: SourceTree) -> None:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            tree.unread.append((str(path), f"it has more than {MAX_FILE_BYTES} bytes"))
            return
        # As bytes: the file itself says its encoding.
        syntax = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        tree.unread.append((str(path), f"{type(error).__name__}: {error}"))
        return
    names = list(path.resolve().relative_to(tree.root).with_suffix("").parts)
    is_package = names[-1] == "__init__"
    module = ".".join(names[:-1] if is_package else names)
    package = module if is_package else module.rpartition(".")[0]
    known = _Names(module, package, syntax)
    if known.has_rq_job and any(_is_job(node) for node in ast.walk(syntax)):
        tree.decorated.append(module)
    for node in ast.walk(syntax):
        if isinstance(node, ast.Call) and (function := _find_function(node)) is not None:
            options = tuple(ast.unparse(each) for each in node.keywords if each.arg in _OPTIONS)
            found = EnqueuedFunction(f"{path}:{node.lineno}", known.resolve(function), ast.unparse(function), options)
            tree.calls.append(found)


class _Names:
    """What the names of a file stand for: imports, wherever they are made, and its own functions."""

    def __init__(self, module: str, package: str, syntax: ast.Module) -> None:
        self._module = module
        self._known: dict[str, str] = {}
        self.has_rq_job = False
        own = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        for statement in syntax.body:
            if isinstance(statement, own):
                self._known[statement.name] = f"{module}:{statement.name}"
        for node in ast.walk(syntax):
            if isinstance(node, ast.Import):
                for each in node.names:
                    # `import a.b` binds `a`.
                    top = each.name.partition(".")[0]
                    self._known[each.asname or top] = each.name if each.asname else top
            elif isinstance(node, ast.ImportFrom):
                self._add_from(node, package)

    def _add_from(self, node: ast.ImportFrom, package: str) -> None:
        source = node.module or ""
        if node.level:
            parent = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*parent, *([source] if source else [])])
        for each in node.names:
            self._known[each.asname or each.name] = f"{source}.{each.name}"
        self.has_rq_job |= "rq" in source.replace("django_rq", "rq").split(".") and any(
            each.name == "job" for each in node.names
        )

    def resolve(self, node: ast.expr) -> str:
        """Return the dotted path that an expression stands for, `module:name` where that is told; empty otherwise."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) and node.value.replace(".", "").isidentifier() else ""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._known:
            return ""
        return ".".join([self._known[node.id], *reversed(parts)])


def _find_function(call: ast.Call) -> ast.expr | None:
    """Return the function that a call hands to RQ; None for any other call."""
    if not isinstance(call.func, ast.Attribute):
        return None
    name = call.func.attr
    receiver = ast.unparse(call.func.value)
    before = _CALLS.get(name)
    if before is None and name in _OF_RQ_SCHEDULER and "scheduler" in receiver.lower():
        before = _OF_RQ_SCHEDULER[name]
    # Others have methods of these names, too: what is called has to look like a queue.
    if before is None or not _QUEUE.search(receiver):
        return None
    for keyword in call.keywords:
        if keyword.arg in ("func", "f"):
            return keyword.value
    return call.args[before] if len(call.args) > before else None


def _is_job(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if (isinstance(target, ast.Name) and target.id == "job") or (
            isinstance(target, ast.Attribute) and target.attr == "job"
        ):
            return True
    return False
