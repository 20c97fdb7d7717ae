import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from jobistemer import __version__
from jobistemer.cli import main
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command


def commands(command, path=()):
    """Every command with its path."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


EVERY = [*commands(main), (("jobistemer-worker",), worker_command), (("jobistemer-ticker",), ticker_command)]
LEAVES = [(path, command) for path, command in commands(main) if not isinstance(command, click.Group)]


@pytest.mark.parametrize(("path", "command"), EVERY, ids=lambda each: " ".join(each) if isinstance(each, tuple) else "")
def test_every_command_and_every_option_has_a_help(path, command):
    assert command.help
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


@pytest.mark.parametrize("path", [path for path, _ in LEAVES if path not in (("dev",), ("dashboard",))], ids=" ".join)
def test_every_command_that_answers_can_answer_in_json(path):
    command = dict(LEAVES)[path]
    assert "--json" in [name for option in command.params for name in option.opts]


def test_the_list_of_commands_says_what_each_one_is(cli):
    shown = cli("--help").stdout
    assert "jobistemer-worker" in shown
    for name in main.list_commands(click.Context(main)):
        assert f"  {name} " in shown


def test_the_version_is_that_of_the_package(cli):
    assert cli("--version").stdout == f"jobistemer, version {__version__}\n"


def test_a_command_that_is_not_there_is_a_wrong_usage(cli):
    result = cli("jobs")
    assert result.exit_code == 2
    assert "No such command 'jobs'" in result.stderr


def test_a_command_that_is_nearly_there_is_named(cli):
    assert "No such command 'workr'. Did you mean worker?" in cli("workr").stderr
    assert "No such command 'jobs'. Did you mean job?" in cli("jobs").stderr
    assert "No such command 'frobnicate'.\n" in cli("frobnicate").stderr


def test_ctrl_c_ends_a_command_with_the_code_that_shells_know_it_by(cli, monkeypatch):
    monkeypatch.setattr("jobistemer.cli.commands.job.job.jobs.list_jobs", _interrupted)
    result = cli("job", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\n")


def _interrupted(*_args, **_given):
    raise KeyboardInterrupt


def test_a_command_is_imported_when_it_is_asked_for_and_not_before():
    code = "import sys; from jobistemer.cli import main; print([name for name in sys.modules if name.startswith('jobistemer.cli.')])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "['jobistemer.cli.usage_errors', 'jobistemer.cli.root']\n"


def test_names_are_completed_in_a_shell():
    from click.shell_completion import BashComplete

    completer = BashComplete(main, {}, "jobistemer", "_JOBISTEMER_COMPLETE")
    assert [each.value for each in completer.get_completions(["job"], "hi")] == ["history"]


@pytest.mark.parametrize("command", [worker_command, ticker_command])
def test_each_process_says_its_version(command):
    result = CliRunner().invoke(command, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"{command.name}, version {__version__}\n")


@pytest.mark.parametrize("group", ["worker", "ticker"])
def test_who_takes_a_group_for_the_program_that_starts_a_process_is_told_its_name(cli, group):
    result = cli(group, "shop:app")
    assert result.exit_code == 2
    assert f"To start a {group}: `jobistemer-{group} shop:app`." in result.stderr
