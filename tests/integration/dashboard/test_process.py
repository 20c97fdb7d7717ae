"""`jobistemer dashboard` as a process: it serves, ends in order, and reports what it cannot do."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from jobistemer.cli import main
from tests.support.clusters import free_port
from tests.support.processes import Process


@pytest.mark.process
def test_it_serves_also_while_the_server_is_away_and_ends_in_order(tmp_path):
    url = f"redis://ann:s3cret@127.0.0.1:{free_port()}/0"
    with Process(
        "dashboard", "--port", "0", "--read-only", folder=tmp_path, environment={"JOBISTEMER_URL": url}
    ) as process:
        address = process.says(
            r"dashboard of jobistemer at redis://ann:\*\*\*@\S+: read-only, (http://127\.0\.0\.1:\d+/)"
        )[1]
        with pytest.raises(HTTPError) as answer:
            urlopen(address)
        assert answer.value.code == 503
        assert "no Redis or Valkey server answers" in answer.value.read().decode()
        process.send(signal.SIGTERM)
        assert process.ends() == 0
    assert "s3cret" not in process.text
    assert "Traceback" not in process.text


@pytest.fixture
def run(monkeypatch):
    for variable in ("JOBISTEMER_DASHBOARD_TOKEN", "JOBISTEMER_BY"):
        monkeypatch.delenv(variable, raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["dashboard", *arguments], env={"JOBISTEMER_URL": "fake://none"})


def test_without_the_extra_it_says_how_to_install_it(run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = run()
    assert result.exit_code == 1
    assert result.stderr == "Error: the dashboard is not installed: pip install 'jobistemer[dashboard]'\n"


def test_it_does_not_listen_for_others_unless_it_is_told_how_to_know_them(run):
    result = run("--host", "0.0.0.0")
    assert result.exit_code == 1
    assert "set JOBISTEMER_DASHBOARD_TOKEN" in result.stderr


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with Process(
            "dashboard", "--port", port, folder=tmp_path, environment={"JOBISTEMER_URL": "fake://x"}
        ) as process:
            assert process.ends() == 1
    assert f"Error: the dashboard cannot listen on 127.0.0.1 port {port}: Address already in use" in process.text


@pytest.mark.parametrize(
    "module", ["jobistemer", "jobistemer.cli", "jobistemer.cli.commands.dashboard", "jobistemer.cli.commands.dev"]
)
def test_nobody_pays_for_the_dashboard_who_does_not_serve_it(module):
    code = f"import sys, {module}; print(sorted({{'starlette', 'uvicorn', 'jinja2', 'itsdangerous', 'anyio'}} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert told.stdout == "[]\n"
