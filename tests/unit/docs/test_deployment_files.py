"""The files that deploy: no engine runs them here, so their commands are held against the real command lines."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import import_module

import click
import pytest
import yaml

from jobistemer.core.settings import WorkerSettings
from tests.support.paths import ROOT

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: each for name, each in COMPOSE["services"].items() if name != "redis"}


def parsed(arguments):
    """What a command line means to the program it names; raises UsageError for options there are not."""
    module, _, attribute = SCRIPTS[arguments[0]].partition(":")
    command, rest = getattr(import_module(module), attribute), list(arguments[1:])
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), rest.pop(0))
    return command.make_context(arguments[0], rest).params


@pytest.mark.parametrize("service", OURS)
def test_the_command_of_a_service_is_one_that_the_program_understands(service, monkeypatch):
    monkeypatch.delenv("JOBISTEMER_URL", raising=False)
    assert "url" in parsed(OURS[service]["command"])


def test_an_option_that_there_is_not_would_be_found():
    with pytest.raises(click.UsageError, match="No such option"):
        parsed(["jobistemer-worker", "--no-such-option"])


def test_workers_and_deployment_use_an_app_that_can_be_imported():
    for service in ("worker", "deploy"):
        module, _, attribute = parsed(OURS[service]["command"])["app"].partition(":")
        assert getattr(import_module(module), attribute).jobs()


def test_there_are_two_tickers_and_the_number_of_workers_is_left_to_scale():
    assert COMPOSE["services"]["ticker"]["deploy"]["replicas"] == 2
    assert "container_name" not in COMPOSE["services"]["worker"]
    assert "ports" not in COMPOSE["services"]["worker"]


def test_every_service_finds_the_server_and_waits_until_it_is_healthy():
    for service in OURS.values():
        assert service["environment"]["JOBISTEMER_URL"] == "redis://redis:6379/0"
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_a_worker_is_given_longer_to_stop_than_it_gives_its_runs():
    worker = OURS["worker"]
    assert int(worker["stop_grace_period"].removesuffix("s")) > parsed(worker["command"])["grace"]
    assert WorkerSettings(grace_s=parsed(worker["command"])["grace"])


def test_the_server_appends_to_a_file_on_a_volume_and_evicts_nothing():
    redis = COMPOSE["services"]["redis"]
    options = " ".join(redis["command"])
    assert "--appendonly yes" in options
    assert "--maxmemory-policy noeviction" in options
    assert redis["volumes"] == ["redis:/data"]
    assert set(COMPOSE["volumes"]) == {"redis", "quickstart"}


def test_the_image_copies_what_the_build_needs_and_runs_a_worker_by_default():
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
    assert all((ROOT / name).exists() for names in copied for name in names.split())
    # The build leaves out without a word what is not there, such as the plugin that the package says it has.
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"workers", "pyproject.toml", *packed["only-include"], *packed["force-include"]}
    assert needed <= {name for names in copied for name in names.split()}
    (default,) = re.findall(r"^CMD (\[.+\])$", text, re.MULTILINE)
    assert parsed(yaml.safe_load(default))["concurrency"] == 8


@pytest.mark.parametrize("goal", ["demo", "test", "lint", "bench", "clean"])
def test_every_goal_of_the_makefile_can_be_made(goal):
    printed = subprocess.run(["make", "--dry-run", goal], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed


def test_the_demo_is_a_command_line_that_there_is():
    printed = subprocess.run(
        ["make", "--dry-run", "demo", "DEMO_SECONDS=5"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (line,) = set(re.findall(r"\.venv/bin/(jobistemer dev [^;]+);", printed))
    assert parsed(line.split())["seconds"] == 5
