"""Which scripts the code of a role can reach: read from the source, function by function."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = "jobistemer.store"
Name = tuple[str, str]


class SourceGraph:
    """The package as definitions and what each of them mentions."""

    def __init__(self) -> None:
        self._trees = {
            _module(path): ast.parse(path.read_text()) for path in sorted((ROOT / "jobistemer").rglob("*.py"))
        }
        self._imports = {module: dict(self._imported(tree)) for module, tree in self._trees.items()}
        self._defined = {
            (module, name): node for module, tree in self._trees.items() for name, node in _definitions(tree)
        }

    def scripts(self, *packages: str) -> set[str]:
        """The scripts that anything in these modules or packages calls, itself or through the store."""
        own = {module for module in self._trees if any(f"{module}.".startswith(f"{each}.") for each in packages)}
        assert own, packages
        waiting, seen, found = [name for name in self._defined if name[0] in own], set(), set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self._defined:
                continue
            seen.add(name)
            found.update(_called_scripts(self._defined[name]))
            mentioned = self._mentioned(name[0], self._defined[name])
            waiting += [each for each in mentioned if each[0] in own or each[0].startswith(STORE)]
        return found

    def _mentioned(self, module: str, node: ast.AST) -> Iterator[Name]:
        known = self._imports[module]
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                yield known.get(each.id, (module, each.id))
            elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id in known:
                place = ".".join(known[each.value.id])
                if place in self._trees:
                    yield place, each.attr

    def _imported(self, tree: ast.Module) -> Iterator[tuple[str, Name]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield from ((alias.asname or alias.name, (node.module, alias.name)) for alias in node.names)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets: Iterable[ast.expr] = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))


def _called_scripts(node: ast.AST) -> Iterator[str]:
    calls = (each for each in ast.walk(node) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name))
    for call in calls:
        if call.func.id in ("script", "compose") and call.args and isinstance(call.args[0], ast.Constant):
            yield call.args[0].value
