"""One exit code for wrong values in all commands, and a table of all codes in the reference."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from jobistemer.cli.commands import deploy
from tests.support.apps import drain_queues
from tests.unit.cli.test_root import EVERY, LEAVES

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"
# Commands about an entry of the list, with what they need besides.
NAMED = {
    ("queue", "pause"): (),
    ("queue", "resume"): (),
    ("queue", "drain"): (),
    ("queue", "open"): (),
    ("queue", "purge"): ("--yes",),
    ("hold", "put"): ("--for", "5"),
}
SERVER = [path for path, command in LEAVES if "--url" in [name for option in command.params for name in option.opts]]


def filled(path):
    """The arguments that a command asks for, with values that are possible."""
    command = dict(LEAVES)[path]
    values = {click.INT: "1", click.FLOAT: "1"}
    words = []
    for each in command.params:
        if not each.required:
            continue
        value = "1" if isinstance(each.type, click.IntRange | click.FloatRange) else values.get(each.type, "30d")
        words += [value] if isinstance(each, click.Argument) else [each.opts[0], value]
    return words


@pytest.mark.parametrize(("path", "command"), EVERY, ids=lambda each: " ".join(each) if isinstance(each, tuple) else "")
def test_an_unknown_option_is_a_wrong_value_for_every_command(path, command):
    from click.testing import CliRunner

    assert CliRunner().invoke(command, ["--no-such-option"]).exit_code == 2


@pytest.mark.parametrize(
    ("option", "value"), [("--url", "ftp://x"), ("--url", "redis://:pa[ss@h"), ("--namespace", "a{b")]
)
@pytest.mark.parametrize("path", SERVER, ids=" ".join)
def test_a_wrong_server_or_namespace_is_a_wrong_value_for_every_command(cli, path, option, value):
    result = cli(*path, *filled(path), option, value)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert "pa[ss" not in result.output


@pytest.mark.parametrize("path", NAMED, ids=" ".join)
def test_a_name_that_nobody_knows_asks_for_force_with_the_names_near_by(cli, app, path):
    app.enqueue("greet", queue="reports")
    typed, meant = ("gret", "greet") if path[0] == "hold" else ("report", "reports")
    refused = cli(*path, typed, *NAMED[path])
    assert refused.exit_code == 2
    assert f"did you mean '{meant}'? --force does it all the same" in refused.stderr
    assert cli(*path, meant, *NAMED[path]).exit_code == 0
    assert cli(*path, typed, *NAMED[path], "--force").exit_code == 0


@pytest.mark.parametrize("command", ["pause", "resume", "trigger", "show", "history"])
def test_a_job_that_is_not_registered_is_refused_with_the_names_near_by(cli, app, command):
    app.deploy()
    refused = cli("job", command, "nightli")
    assert refused.exit_code == 1
    assert "did you mean 'nightly'?" in refused.stderr


def test_a_limit_that_nobody_knows_asks_for_force(cli, shard):
    shard.ask("HSET", shard.keys.limits, "printer:7", "1")
    refused = cli("hold", "put", "--limit", "printr", "--for", 5)
    assert refused.exit_code == 2
    assert "limit 'printr' is not known: no run counts under it; did you mean 'printer'?" in refused.stderr
    assert cli("hold", "put", "--limit", "printer", "--for", 5).exit_code == 0


def test_a_task_is_known_by_its_job_by_its_ends_and_by_the_app_that_stands_here(cli, app, tmp_path, monkeypatch):
    app.deploy()
    app.enqueue("greet")
    drain_queues(app)
    for task in ("nightly", "greet"):
        assert cli("hold", "put", task, "--for", 5).exit_code == 0
    (tmp_path / "here.py").write_text(
        "from jobistemer import Jobistemer\napp = Jobistemer()\n@app.task\ndef fresh(): ...\n"
    )
    (tmp_path / "pyproject.toml").write_text('[tool.jobistemer]\napp = "here:app"\n')
    assert cli("hold", "put", "fresh", "--for", 5).exit_code == 2
    monkeypatch.chdir(tmp_path)
    assert cli("hold", "put", "fresh", "--for", 5).exit_code == 0
    (tmp_path / "pyproject.toml").unlink()
    assert cli("hold", "put", "fresh", "--for", 5).exit_code == 2
    monkeypatch.setenv("JOBISTEMER_APP", "here:app")
    assert cli("hold", "put", "fresh", "--for", 5).exit_code == 0


def test_a_hold_that_is_not_there_is_not_found_and_names_the_one_that_is(cli, app):
    app.holds.put("greet", seconds=60)
    refused = cli("hold", "release", "gret")
    assert refused.exit_code == 1
    assert "did you mean 'task/greet'?" in refused.stderr


def test_the_reference_has_every_exit_code_once():
    table = re.findall(r"^\| (\d+) \|", REFERENCE.read_text(), re.MULTILINE)
    assert table == ["0", "1", "2", str(deploy.EXIT_OLDER), str(deploy.EXIT_PENDING), "130"]
