"""The files that deploy: no engine runs them here, so their commands are held against the real command lines.

Their form is checked by the schema of the compose specification and by hadolint.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement
from redis import Redis
from redis import exceptions as redis_errors

from jobistemer.cli import main
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command
from jobistemer.core.settings import WorkerSettings
from tests.support.paths import ROOT
from tests.support.worker_processes import wait_until

COMMANDS = {
    "jobistemer_start:start_command": main,
    "jobistemer_start:start_ticker": ticker_command,
    "jobistemer_start:start_worker": worker_command,
}
"""The command of each entry of the package."""
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: each for name, each in COMPOSE["services"].items() if name != "redis"}


def parsed(arguments):
    """What a command line means to the program it names; raises UsageError for options there are not."""
    command, rest = COMMANDS[SCRIPTS[arguments[0]]], list(arguments[1:])
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), rest.pop(0))
    return command.make_context(arguments[0], rest).params


def checked(program, *arguments):
    """What a program of this environment says about a file; empty when it is content."""
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong"), [("", ""), ("read_only", "read_onyl"), ("service_healthy", "service_helthy")]
)
def test_the_compose_file_is_one_by_the_specification(tmp_path, right, wrong):
    file = tmp_path / "docker-compose.yml"
    text = (ROOT / "docker-compose.yml").read_text()
    file.write_text(text.replace(right, wrong) if right else text)
    found = checked("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)
    assert wrong in found
    assert bool(found) == bool(wrong)


@pytest.mark.parametrize(
    ("more", "says"), [("", ""), ("RUN sudo ls\n", "DL3004"), ("ENTRYPOINT ls\nENTRYPOINT ls\n", "DL4004")]
)
def test_the_recipe_of_the_image_is_one_that_hadolint_has_no_word_against(tmp_path, more, says):
    file = tmp_path / "Dockerfile"
    file.write_text((ROOT / "Dockerfile").read_text() + more)
    found = checked("hadolint", file)
    assert says in found
    assert bool(found) == bool(more)


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
        assert re.fullmatch(
            r"redis://:\$\{REDIS_PASSWORD:\?[^}]+\}@redis:6379/0", service["environment"]["JOBISTEMER_URL"]
        )
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_a_worker_is_given_longer_to_stop_than_it_gives_its_runs():
    worker = OURS["worker"]
    assert int(worker["stop_grace_period"].removesuffix("s")) > parsed(worker["command"])["grace"]
    assert WorkerSettings(grace_s=parsed(worker["command"])["grace"])


def test_the_server_appends_to_a_file_on_a_volume_and_evicts_nothing():
    redis = COMPOSE["services"]["redis"]
    options = redis["command"][-1]
    assert "--appendonly yes" in options
    assert "--maxmemory-policy noeviction" in options
    assert redis["volumes"] == ["redis:/data"]
    assert set(COMPOSE["volumes"]) == {"redis", "quickstart"}


@pytest.mark.process
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="it runs the program that the image runs")
def test_the_server_has_a_password_that_stands_in_no_argument(tmp_path):
    # The command of the file, as the shell of the image would run it, with the real program.
    redis = COMPOSE["services"]["redis"]
    script = (
        redis["command"][-1]
        .replace("$$", "$")
        .replace("redis-server -", "redis-server - --port 0 --unixsocket server.sock")
    )
    environment = {"PATH": os.environ["PATH"], "REDIS_PASSWORD": "hunter2"}
    server = subprocess.Popen(
        [*redis["command"][:-1], script], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        wait_until((tmp_path / "server.sock").exists, "the server listens")
        with pytest.raises(redis_errors.AuthenticationError):
            Redis(unix_socket_path=str(tmp_path / "server.sock")).ping()
        client = Redis(unix_socket_path=str(tmp_path / "server.sock"), password="hunter2")
        assert client.ping()
        assert client.config_get("appendonly", "maxmemory-policy") == {
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
        }
        # The shell has become the server, which so gets the signal to end.
        assert client.info("server")["process_id"] == server.pid
        assert b"hunter2" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    finally:
        server.terminate()
        assert server.wait(60) == 0


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_a_service_is_not_root_writes_to_its_volume_only_and_opens_no_port(service):
    given = COMPOSE["services"][service]
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert given["tmpfs"] == ["/tmp"]
    assert "ports" not in given
    assert "privileged" not in given
    assert given.get("user", "10001") != "root"


def instructions(word):
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{word} (.+)$", text, re.MULTILINE)


def test_base_images_are_named_by_digest():
    images = [each.split()[0] for each in instructions("FROM")] + [COMPOSE["services"]["redis"]["image"]]
    assert len(images) == 3
    assert all(re.fullmatch(r"[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}", each) for each in images)


def test_the_image_copies_what_the_build_needs_and_nothing_else_reaches_the_engine():
    copied = {name for line in instructions("COPY") if not line.startswith("--from") for name in line.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    # The build leaves out without a word what is not there, such as the plugin that the package says it has.
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {"workers", "pyproject.toml", *packed["only-include"], *packed["force-include"]} <= copied
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert sent == {name.partition("/")[0] for name in copied}


def test_the_image_runs_a_worker_as_a_user_by_number_and_asks_it_whether_it_is_alive():
    params = parsed(yaml.safe_load(instructions("CMD")[-1]))
    assert (params["concurrency"], params["process"].health_port if "process" in params else params["health_port"]) == (
        8,
        8080,
    )
    assert instructions("USER") == ["10001"]
    probe = instructions("HEALTHCHECK")[0]
    assert "http://127.0.0.1:8080/livez" in probe
    compile(yaml.safe_load(probe.partition("CMD ")[2])[2], "probe", "exec")


def test_every_package_of_the_image_comes_from_the_lock_with_its_hash():
    for line in instructions("RUN"):
        if "pip install" in line or "pip wheel" in line:
            assert "--require-hashes" in line or "--no-deps" in line
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {"image": project["project"]["dependencies"], "build": project["build-system"]["requires"]}
    assert (ROOT / "requirements/build.in").read_text().split() == wanted["build"]
    for name, requirements in wanted.items():
        text = (ROOT / f"requirements/{name}.txt").read_text()
        locked = dict(re.findall(r"^([\w.-]+)==(\S+) \\$", text, re.MULTILINE))
        assert len(re.findall(r"^[\w.-]+==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)) == len(locked)
        assert "http" not in text
        for each in map(Requirement, requirements):
            assert locked[each.name] in each.specifier, f"{each} is not what `make lock` wrote"


@pytest.mark.parametrize("goal", ["demo", "test", "test-rest", "lint", "bench", "lock", "sbom", "clean"])
def test_every_goal_of_the_makefile_can_be_made(goal):
    printed = subprocess.run(["make", "--dry-run", goal], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed


def test_the_demo_is_a_command_line_that_there_is():
    printed = subprocess.run(
        ["make", "--dry-run", "demo", "DEMO_SECONDS=5"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (line,) = set(re.findall(r"\.venv/bin/(jobistemer dev [^;]+);", printed))
    assert parsed(line.split())["seconds"] == 5
