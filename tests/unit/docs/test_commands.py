"""The commands that the pages show are commands: each word, option and value is accepted by the parser."""

from __future__ import annotations

import re

import click
import pytest

from jobistemer.cli import main
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command
from jobistemer.contrib.role_commands import RoleCommands
from tests.support.for_each import for_each
from tests.support.pages import PAGES, CommandLine, read_lines, split_words

PROGRAMS = {
    "jobistemer": main,
    "jobistemer-worker": worker_command,
    "jobistemer-ticker": ticker_command,
    # `flask jobistemer …` and `manage.py jobistemer …` have the same commands and two more.
    "framework": RoleCommands("jobistemer"),
}
# The page of commands is drawn from the commands themselves.
LINES = [line for page in PAGES if page.name != "commands.md" for line in read_lines(page)]
CALLS = [(line, words) for line in LINES for words in split_words(line.text) if words and words[0] in PROGRAMS]


def check(line: CommandLine, words: list[str]) -> None:
    """Have the parser take a call apart. Raises click.UsageError."""
    command, context = PROGRAMS[words[0]], None
    # A file of the system is one of the reader's folder here.
    arguments = [each.removeprefix("/etc/") for each in words[1:]]
    if not line.is_whole:
        # `queue pause|resume mail` stands for several commands, `[NAME]` and `…` for what the reader knows.
        arguments = [each.partition("|")[0] for each in arguments if not re.search(r"[\[\]…]", each)]
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        context = click.Context(command, parent=context)
        name, arguments = arguments[0], arguments[1:]
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name!r}")
        command = found
    if isinstance(command, click.Group):
        return
    try:
        command.make_context(words[0], list(arguments), resilient_parsing="--help" in arguments)
    except click.UsageError as error:
        # A text may name a command or an option without what follows it.
        is_left_out = isinstance(error, click.MissingParameter) or "requires an argument" in str(error)
        if line.is_whole or not is_left_out:
            raise


@pytest.fixture(autouse=True)
def readers_folder(monkeypatch, tmp_path):
    """What a command reads stands in the reader's folder."""
    monkeypatch.chdir(tmp_path)
    for _, words in CALLS:
        for name in (each.removeprefix("/etc/") for each in words[1:]):
            if re.fullmatch(r"[\w.-]+", name):
                (tmp_path / name).touch()


def check_call(call):
    try:
        check(*call)
    except click.ClickException as error:
        raise AssertionError(error.format_message()) from None


test_a_command_of_a_page_is_accepted_by_its_parser = for_each(CALLS, lambda call: call[0].name)(check_call)


@pytest.mark.parametrize(
    ("text", "is_whole", "says"),
    [
        ("jobistemer job lits", True, "no command 'lits'"),
        ("jobistemer job show", True, "Missing parameter: name"),
        ("jobistemer job list --limt 3", False, "No such option"),
        ("flask --app shop jobistemer wrokers list", False, "no command"),
        ('jobistemer next "0 2 * * *" -n x', True, "not a valid integer"),
    ],
)
def test_a_command_that_there_is_not_is_found(text, is_whole, says):
    (words,) = split_words(text)
    with pytest.raises(click.UsageError, match=says):
        check(CommandLine(PAGES[0], text, is_whole=is_whole), words)


def test_there_are_commands_of_each_kind_to_test():
    assert len([line for line, _ in CALLS if line.is_whole]) > 80
    assert len([line for line, _ in CALLS if not line.is_whole]) > 90
    assert {words[0] for _, words in CALLS} == set(PROGRAMS)
