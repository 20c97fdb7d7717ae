"""Narrow screens: a table becomes cards, in which each cell bears the heading of its column."""

import re
from pathlib import Path

import pytest

from jobistemer.web import application

TEMPLATES = Path(application.__file__).parent / "templates"
TABLE = re.compile(r'<table class="cards.*?</table>', re.DOTALL)
HEADING = re.compile(r'<th scope="col".*?>(.*?)</th>', re.DOTALL)
CELL = re.compile(r"<td(?! colspan)([^>]*)>")
LABEL = re.compile(r'data-label="([^"]*)"')


def read_tables():
    found = [
        (path.name, table) for path in sorted(TEMPLATES.glob("*.html")) for table in TABLE.findall(path.read_text())
    ]
    return [(f"{name} {number}", table) for number, (name, table) in enumerate(found)]


@pytest.mark.parametrize("table", [table for _, table in read_tables()], ids=[name for name, _ in read_tables()])
def test_each_cell_of_a_card_is_labelled_with_words_of_the_heading_above_it(table):
    headings = [re.sub(r"<[^>]+>", "", each).lower() for each in HEADING.findall(table)]
    labels = [LABEL.search(each) for each in CELL.findall(table)]
    assert len(headings) == len(labels)
    strange = [
        (found[1], heading)
        for found, heading in zip(labels, headings, strict=True)
        if found and found[1].lower() not in heading
    ]
    assert not strange
