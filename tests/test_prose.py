"""Words that must not come back: pages and docstrings use the words of docs/reference/glossary.md, and sentences name their subjects."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.for_each import for_each
from tests.support.paths import DOCS, ROOT

# Each pattern with the words to use instead.
OLD_NAMES = {
    r"bells?": "wake-up",
    r"belfr\w+": "wake-up",
    r"census": "queues snapshot",
    r"companions?": "extension",
    r"corpses?": "dead worker",
    r"crews?": "processes",
    r"curtains?": "the end of the session",
    r"errands?": "request of a process to its worker",
    r"glances?": "queues",
    r"heralds?": "hook notifier",
    r"inbox(?:es)?": "prefetch",
    r"journals?": "log shipper",
    r"lulls?": "pause",
    r"notebooks?": "log buffer",
    r"orphans?": "leaked key",
    r"tall(?:y|ies)": "metrics",
    r"witness(?:es)?": "assertions",
}
"""Names of the past: in pages, docstrings and texts of the package."""

RIDDLES = {
    r"(?:any|no|some)body": "the noun: worker, ticker, application, person",
    r"desks?": "context tools",
    r"go(?:es)? on": "continue",
    r"homes?": "placement",
    r"houses?": "package",
    r"leaps?": "clock jump",
    r"(?<!dead[ -])letters?": "dead letter, or its run",
    r"suppl(?:y|ies)": "injected value",
    r"tells?|told": "the verb of the act: send, call, report, name",
    r"those (?:that|who)": "the noun",
    r"what there is": "the noun",
    r"whoever": "the noun: worker, ticker, application, person",
    r"worked off": "run, or finished",
}
"""Words that hide the subject of a sentence, or have another meaning in the glossary: in pages."""

DRAWN = {"api", "commands", "errors", "options", "settings", "states", "testing", "trips"}
"""Pages of the reference that are drawn from docstrings."""

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(each for each in DOCS.rglob("*.md") if "decisions" not in each.parts),
    ]
)
WRITTEN = [each for each in PAGES if not (each.parent.name == "reference" and each.stem in DRAWN)]
MODULES = sorted((ROOT / "jobistemer").rglob("*.py"))
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`|(?<=\])\(https?://[^)\s]+\)", re.MULTILINE | re.DOTALL)
"""Code, and the addresses of links, whose words are those of others."""
ASKED_SUBJECT = re.compile(r"(?:^|[.;:|] )(?:What|Who|Whoever|Whatever|Those) [a-z][^?\n]*$", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read_prose(page: Path) -> str:
    """Return the text of a page without its code, which keeps the names of options and of records."""
    return CODE.sub("`…`", page.read_text(encoding="utf-8"))


def read_texts(module: Path) -> Iterator[str]:
    """Yield docstrings, messages and error texts: each string of a module that has more than one word."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.value


def find_words(text: str, words: dict[str, str]) -> list[str]:
    """Return each word of a list that a text contains, with the words to use instead."""
    if not re.search(rf"\b(?:{'|'.join(words)})\b", text, re.IGNORECASE):
        return []
    return [
        f"{match.group()!r}: use {instead!r}"
        for pattern, instead in words.items()
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
    ]


def read_summaries(module: Path) -> Iterator[str]:
    """Yield the first word of the docstring of each function of a module."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (docstring := ast.get_docstring(node)):
            yield docstring.split(maxsplit=1)[0]


@for_each(PAGES, name_of)
def test_a_page_has_no_name_of_the_past(page):
    assert find_words(read_prose(page), OLD_NAMES) == []


@for_each(WRITTEN, name_of)
def test_a_page_names_its_subjects(page):
    assert find_words(read_prose(page), RIDDLES) == []
    assert ASKED_SUBJECT.findall(read_prose(page)) == []


@for_each(MODULES, name_of)
def test_docstrings_and_texts_have_no_name_of_the_past(module):
    assert find_words("\n".join(read_texts(module)), OLD_NAMES) == []


def test_a_docstring_of_a_function_begins_with_no_question_word():
    words = {(name_of(module), word) for module in MODULES for word in read_summaries(module)}
    assert {(name, word) for name, word in words if word in {"How", "What", "Whether", "Who", "Why"}} == set()


def test_a_word_of_the_past_is_found_and_code_is_not_read():
    assert find_words("The bell rings.", OLD_NAMES) == ["'bell': use 'wake-up'"]
    assert CODE.sub("", "`homes` and\n```\nnobody\n```\n") == " and\n\n"
    assert CODE.sub("", "[here](https://example.com/home/nobody) and (homes)") == "[here] and (homes)"
    assert ASKED_SUBJECT.search("It ends. What waits is cancelled.")
    assert not ASKED_SUBJECT.search("## What to watch\n")
