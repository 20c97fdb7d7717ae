"""The documentation is true: every Python block in it runs."""

import re

import pytest
import yaml

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run_one_after_another(page, monkeypatch):
    # Where a page names no server, it means the reader's.
    monkeypatch.setenv("JOBISTEMER_URL", f"fake://{page.name}")
    names = {"__name__": "page"}
    for block in BLOCK.findall(page.read_text()):
        exec(compile(block, str(page), "exec"), names)


def test_what_is_shown_as_yaml_is_yaml():
    blocks = [block for page in PAGES for block in YAML.findall(page.read_text())]
    assert [type(yaml.safe_load(block)) for block in blocks] == [dict] * len(blocks) != []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_example_uses_a_server_that_no_worker_can_reach(page):
    assert not re.search(r"""["']fake://""", page.read_text())
