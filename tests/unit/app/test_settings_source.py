"""One order for the settings of every process: what is said nearer to it wins."""

from __future__ import annotations

import logging

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer, Misconfigured
from jobistemer.app.loading import open_namespace
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.runtime.logging import TextFormatter, set_up_logging


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder below that of a pyproject.toml which names a server and a namespace."""
    folder = tmp_path / "shop"
    folder.mkdir()
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.jobistemer]\nurl = "redis://of-the-project:1/0"\nnamespace = "shop"\n', encoding="utf-8")
    monkeypatch.chdir(folder)
    for variable in ("JOBISTEMER_URL", "JOBISTEMER_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    return file


def seen(url=None, name=None):
    """What an app and a command find; both must find the same."""
    app, command = Jobistemer(url, namespace=name).namespace, open_namespace(url, name)
    assert (app.url, app.name, str(app)) == (command.url, command.name, str(command))
    return app


def test_an_app_and_a_command_find_the_server_of_the_project(project):
    found = seen()
    assert (found.url, found.name) == ("redis://of-the-project:1/0", "shop")
    assert str(found).count(str(project)) == 2


def test_the_environment_wins_over_the_project(project, monkeypatch):
    monkeypatch.setenv("JOBISTEMER_NAMESPACE", "other")
    found = seen()
    assert (found.url, found.name) == ("redis://of-the-project:1/0", "other")
    assert f"namespace from JOBISTEMER_NAMESPACE, URL from {project}" in str(found)


def test_the_constructor_wins_over_all(project, monkeypatch):
    monkeypatch.setenv("JOBISTEMER_NAMESPACE", "other")
    monkeypatch.setenv("JOBISTEMER_URL", "redis://of-the-environment:1/0")
    found = seen("redis://given:1/0", "given")
    assert (found.url, found.name) == ("redis://given:1/0", "given")
    assert str(found).count("the call or the command line") == 2


def test_without_any_word_the_defaults_hold(project):
    project.write_text("", encoding="utf-8")
    found = seen()
    assert (found.url, found.name) == ("redis://localhost:6379/0", "jobistemer")
    assert "namespace from the default, URL from the default" in str(found)


def test_a_table_that_cannot_be_used_is_refused_only_where_it_is_needed(project):
    project.write_text("[tool.jobistemer]\nurl = 5\n", encoding="utf-8")
    with pytest.raises(Misconfigured, match="cannot be used"):
        Jobistemer()
    assert Jobistemer("redis://given:1/0", namespace="given").namespace.name == "given"


def test_an_app_says_what_it_uses_and_from_where(project, caplog):
    with caplog.at_level(logging.INFO, "jobistemer.app"):
        Jobistemer()
    assert caplog.messages == [
        f"this app uses namespace 'shop' on redis://of-the-project:1/0 (namespace from {project}, URL from {project})"
    ]


def test_levels_and_formats_are_understood_in_capitals(project, monkeypatch):
    monkeypatch.setenv("JOBISTEMER_LOG_LEVEL", "LOUD")
    assert "LOUD" in CliRunner().invoke(ticker_command, []).output
    for variable, value in (("LOG_LEVEL", "INFO"), ("LOG_FORMAT", "JSON"), ("METRICS", "OFF")):
        monkeypatch.setenv(f"JOBISTEMER_{variable}", value)
    assert CliRunner().invoke(ticker_command, ["--url", "nonsense"]).output.count("scheme") == 1
    with pytest.raises(Misconfigured, match="LOUD"):
        set_up_logging("LOUD", TextFormatter())
