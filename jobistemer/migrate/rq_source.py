"""Find the functions that a code base hands to RQ by `queue.enqueue(function, …)`, by reading its source.

RQ keeps no list of them. A file is read as a tree of syntax: which calls it makes, and what its names were imported as.
Nothing is executed here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from jobistemer.core.errors import InvalidInput
from jobistemer.migrate.rq_syntax import Wrapper, find_function, find_wrappers

_OPTIONS = frozenset(
    {
        *("job_timeout", "timeout", "result_ttl", "ttl", "failure_ttl", "depends_on", "retry", "at_front", "meta"),
        *("on_success", "on_failure", "on_stopped", "repeat", "interval", "queue_name", "unique", "pipeline"),
    }
)
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
    # An application may import from within its package, whose folder is then on the path.
    while (root / "__init__.py").exists() and str(root) not in sys.path:
        root = root.parent
    tree = SourceTree(root, [], [], [])
    paths = sorted(_list_files(start))
    if not paths:
        raise InvalidInput(f"--source {folder!r} has no Python files")
    files = [file for path in paths if (file := _read_file(path, tree)) is not None]
    wrappers = {
        f".{each.name}" if each.is_method else f"{file.names.module}.{each.name}": each
        for file in files
        for each in find_wrappers(file.syntax)
    }
    within = {call: key for key, wrapper in wrappers.items() for call in wrapper.inner}
    used: set[str] = set()
    for file in files:
        if file.names.has_rq_job and any(_is_job(node) for node in ast.walk(file.syntax)):
            tree.decorated.append(file.names.module)
        # What a wrapper hands on is what its callers give.
        calls = [node for node in ast.walk(file.syntax) if isinstance(node, ast.Call) and node not in within]
        for call in calls:
            key = file.names.find_wrapper(call.func, wrappers)
            used |= {key} if _add_call(call, file, wrappers.get(key), tree) else set()
    for file in files:
        for node in ast.walk(file.syntax):
            if isinstance(node, ast.Call) and within.get(node, "") not in {"", *used}:
                _add_call(node, file, None, tree)
    return tree


def _add_call(node: ast.Call, file: SourceFile, wrapper: Wrapper | None, tree: SourceTree) -> bool:
    """Add what a call hands to RQ. Returns whether it hands on anything."""
    function = find_function(node, wrapper)
    if function is not None:
        options = tuple(ast.unparse(each) for each in node.keywords if each.arg in _OPTIONS)
        place, reference = f"{file.path}:{node.lineno}", file.names.resolve(function)
        tree.calls.append(EnqueuedFunction(place, reference, ast.unparse(function), options))
    return function is not None


def _list_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).parts
        # A virtual environment has this file at its top.
        is_foreign = any(part in _SKIPPED or part.startswith(".") for part in parts) or any(
            (folder.joinpath(*parts[:depth]) / "pyvenv.cfg").exists() for depth in range(1, len(parts))
        )
        if not is_foreign:
            yield path


def _read_file(path: Path, tree: SourceTree) -> SourceFile | None:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            tree.unread.append((str(path), f"it has more than {MAX_FILE_BYTES} bytes"))
            return None
        # As bytes: the file itself says its encoding.
        syntax = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        tree.unread.append((str(path), f"{type(error).__name__}: {error}"))
        return None
    names = list(path.resolve().relative_to(tree.root).with_suffix("").parts)
    is_package = names[-1] == "__init__"
    module = ".".join(names[:-1] if is_package else names)
    package = module if is_package else module.rpartition(".")[0]
    return SourceFile(path, syntax, Names(module, package, syntax))


class Names:
    """What the names of a file stand for: imports, wherever they are made, and its own functions."""

    def __init__(self, module: str, package: str, syntax: ast.Module) -> None:
        self.module = module
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

    def find_wrapper(self, called: ast.expr, wrappers: Mapping[str, Wrapper]) -> str:
        """Return the key of the wrapper that is called; empty for anything else."""
        function, method = self.resolve(called).replace(":", "."), f".{getattr(called, 'attr', '')}"
        return function if function in wrappers else method if method in wrappers else ""

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


class SourceFile(NamedTuple):
    """One file that was read. names: what its names stand for."""

    path: Path
    syntax: ast.Module
    names: Names


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
