"""A path that a page or a docstring names exists."""

from __future__ import annotations

import re

from tests.support.for_each import for_each
from tests.support.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "jobistemer").rglob("*.py")])
ROOMS = "|".join(
    each.name for each in (ROOT / "jobistemer").iterdir() if each.is_dir() and not each.name.startswith("__")
)
PATH = re.compile(
    rf"(?<![\w/.-])((?:jobistemer/)?(?:{ROOMS})|tests|lua|docs|benchmarks|workers)((?:/[a-z_0-9-]+)+\.(?:py|lua|md))\b"
)


@for_each(PAGES, lambda page: str(page.relative_to(ROOT)))
def test_a_path_that_is_named_exists(page):
    named = {"".join(each) for each in PATH.findall(page.read_text(encoding="utf-8"))}
    places = (ROOT, ROOT / "jobistemer", page.parent)
    assert sorted(each for each in named if not any((place / each).exists() for place in places)) == []


def test_an_address_of_the_example_for_django_is_one_that_it_serves():
    page = (ROOT / "docs/how-to/django.md").read_text(encoding="utf-8")
    served = re.findall(r'path\("([^"]*)", ', (ROOT / "workers/django.py").read_text(encoding="utf-8"))
    shown = re.findall(r"http://127\.0\.0\.1:8000/(\S*)", page)
    assert shown
    assert set(shown) <= set(served)
