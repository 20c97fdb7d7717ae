"""The shape of the package is held to the budgets in CONTRIBUTING.md: they serve its readers."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

from jobistemer.store.scripts import list_scripts
from tests.support.for_each import for_each
from tests.support.paths import ROOT
from tests.unit.store.test_script_headers import body

PACKAGE = ROOT / "jobistemer"
FILES = sorted(PACKAGE.rglob("*.py"))
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.With, ast.AsyncWith, ast.Match)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# One method for each kind of key, so that every key of the server is spelled in one place.
MANY_METHODS = {"Keys"}
SUPPRESSION = re.compile(r"#\s*(type:\s*ignore|noqa|pyright:\s*ignore|pragma:\s*no cover)")
COMMAND = re.compile(r"^[A-Z]{3,}( [A-Z]+)?$")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def code_lines(path: Path) -> frozenset[int]:
    """The lines that hold a token which is neither a comment nor a part of a docstring."""
    found: set[int] = set()
    ignored = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type not in ignored:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node) is not None:
            text = node.body[0]
            found.difference_update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return frozenset(found)


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    yield from ((path, node) for path in FILES for node in ast.walk(tree(path)) if isinstance(node, FUNCTIONS))


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    yield from ((path, node) for path in FILES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))


def name_of(path: Path, node: ast.AST | None = None) -> str:
    place = str(path.relative_to(ROOT))
    return f"{place}:{node.name}" if isinstance(node, (ast.ClassDef, *FUNCTIONS)) else place


def depth(node: ast.AST, level: int = 0) -> int:
    """How deep blocks stand in one another; an `elif` stands beside its `if`, a nested function starts anew."""
    found = level
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            continue
        beside = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        found = max(found, depth(child, level + (isinstance(child, NESTING) and not beside)))
    return found


def test_no_file_is_longer_than_three_hundred_lines_and_most_are_short():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
    assert median(lengths.values()) <= 120


def test_no_function_is_longer_than_forty_lines_of_code():
    lengths = {}
    for path, node in functions():
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        if len(lines) > 40 and (length := len(code_lines(path) & set(lines))) > 40:
            lengths[name_of(path, node)] = length
    assert lengths == {}


def test_no_class_has_more_than_fifteen_methods():
    counts = {}
    for path, node in classes():
        overloads = [each for each in node.body if isinstance(each, FUNCTIONS)]
        counts[name_of(path, node)] = len({each.name for each in overloads})
    assert {
        name for name, count in counts.items() if count > 15 and name.rpartition(":")[2] not in MANY_METHODS
    } == set()


def test_blocks_stand_no_deeper_than_three():
    depths = {name_of(path, node): depth(node) for path, node in functions()}
    assert {name: found for name, found in depths.items() if found > 3} == {}


def test_a_folder_has_at_most_twenty_two_modules():
    counts = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert {name_of(folder): count for folder, count in counts.items() if count > 22} == {}


def test_two_public_classes_never_share_a_name():
    names: dict[str, list[str]] = {}
    for path in FILES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(node.name, []).append(name_of(path))
    assert {name: places for name, places in names.items() if len(places) > 1} == {}


def test_checks_are_silenced_rarely_and_always_with_a_reason():
    lines = [(name_of(path), line) for path in FILES for line in path.read_text(encoding="utf-8").splitlines()]
    silenced = [(place, line.strip()) for place, line in lines if SUPPRESSION.search(line)]
    assert len(silenced) <= 3 * len(lines) / 1_000, len(silenced)
    # Behind the code of the check stands why it is silenced.
    assert [
        each for each in silenced if not re.search(r"#.*(ignore|noqa|cover)\S*(: [A-Z0-9, ]+)? [-–#] ?\S+", each[1])
    ] == []


@for_each([path for path in FILES if "store" not in path.relative_to(PACKAGE).parts[:1]], name_of)
def test_only_the_store_spells_commands_of_the_server(path):
    spelled = []
    for node in ast.walk(tree(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("ask", "ask_all", "execute_command")
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and COMMAND.match(first.value):
                spelled.append(f"{first.value} in line {node.lineno}")
    assert spelled == []


def test_a_script_is_short_enough_to_be_read_at_a_glance_or_says_why_it_is_not():
    scripts = list_scripts()
    assert {each.name for each in scripts if len(body(each)) > 40} == {
        each.name for each in scripts if each.header.long
    }


def test_no_module_imports_one_that_imports_it():
    # Imports within functions are read too: they hide a circle from the interpreter, but not from a reader.
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    imported = {name: imports(path) & names.keys() for name, path in names.items()}
    assert [(name, each) for name, found in imported.items() for each in found if name in imported[each]] == []


def imports(path: Path) -> set[str]:
    module = tree(path)
    for_types = {
        id(node)
        for block in module.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
    }
    found = [each for each in ast.walk(module) if isinstance(each, ast.ImportFrom) and id(each) not in for_types]
    return {f"{node.module}" for node in found} | {
        f"{node.module}.{each.name}" for node in found for each in node.names
    }
