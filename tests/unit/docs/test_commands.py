"""The commands that the pages show are commands: each word, option and value is accepted by the parser."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from jobistemer.cli import main
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command
from tests.support.paths import ROOT

PROGRAMS = {"jobistemer": main, "jobistemer-worker": worker_command, "jobistemer-ticker": ticker_command}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_commands(page):
    """The calls of a page's console blocks, without variables before them and redirections behind them."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for line in re.findall(r"^\$ (.*)$", block.replace("\\\n", ""), re.MULTILINE):
            for part in re.split(r"&&|\||;|\$\(", re.sub(r"'[^']*'|\"[^\"]*\"", "quoted", line)):
                words = shlex.split(part.replace("'", "").replace('"', "").rstrip(") "), comments=True)
                words = [word for word in words if not re.match(r"[<>&]|2>|[A-Z_]+=", word)]
                if words and words[0] in PROGRAMS:
                    yield words


COMMANDS = [(page.name, words) for page in PAGES for words in read_commands(page)]


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=lambda each: " ".join(each) if isinstance(each, list) else each
)
def test_a_command_of_a_page_is_accepted_by_its_parser(page, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # What a command reads stands in the reader's folder.
    for name in words[1:]:
        if re.fullmatch(r"[\w.-]+", name):
            (tmp_path / name).touch()
    command, arguments, context = PROGRAMS[words[0]], words[1:], None
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        context = click.Context(command, parent=context)
        _, command, arguments = command.resolve_command(context, arguments)
    if not isinstance(command, click.Group):
        command.make_context(words[0], list(arguments), resilient_parsing="--help" in arguments)


def test_there_are_commands_to_test():
    assert len(COMMANDS) > 30
