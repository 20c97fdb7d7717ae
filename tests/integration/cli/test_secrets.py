"""A password in a URL is never printed, whatever goes wrong: not in an error, not as JSON, not in a log."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from jobistemer.cli import main
from jobistemer.cli.root import _COMMANDS
from tests.support.processes import Process

SECRET = "hunter2"
UNREACHABLE = [
    f"redis://ann:{SECRET}@127.0.0.1:1/0",
    f"rediss://ann:{SECRET}@127.0.0.1:1/0",
    f"redis+sentinel://ann:{SECRET}@127.0.0.1:1,127.0.0.1:2/main/0?sentinel_password={SECRET}",
    f"unix://ann:{SECRET}@/nowhere/socket",
    f"redis://127.0.0.1:1/0?password={SECRET}",
    # Not to be used at all.
    f"http://ann:{SECRET}@127.0.0.1:1/0",
    f"redis://ann:{SECRET}/x@127.0.0.1:1/0",
    f"redis://:{SECRET}",
    f"redis://127.0.0.1:1/0?pasword={SECRET}",
]
# What each command needs to get as far as the server.
ASKING = {
    "acl": (),
    "audit": (),
    "backfill": ("list",),
    "bench": (),
    "dead": ("list",),
    "deploy": ("tests.typing.typed_calls:app",),
    "doctor": (),
    "enqueue": ("work",),
    "hold": ("list",),
    "job": ("list",),
    "occurrence": ("show", "occ_1"),
    "queue": ("list",),
    "run": ("show", "run_1"),
    "ticker": ("list",),
    "top": (),
    "worker": ("list",),
}
# The dashboard starts without one; tests/integration/dashboard/test_security.py tests its page in that case.
NO_SERVER = {"crontab", "dashboard", "dev", "next", "simulate"}


def test_every_command_that_asks_a_server_is_among_these():
    assert set(ASKING) | NO_SERVER == set(_COMMANDS)


@pytest.mark.parametrize("url", UNREACHABLE)
@pytest.mark.parametrize("command", sorted(ASKING))
def test_a_command_that_fails_shows_no_password(command, url, monkeypatch):
    monkeypatch.setenv("JOBISTEMER_URL", url)
    # What is measured is named, or it is an embedded server.
    named = ("--url", url) if command == "bench" else ()
    result = CliRunner().invoke(main, [command, *ASKING[command], *named, "--json"])
    assert result.exit_code in ((0, 1) if command == "acl" else (1,)), result.output
    assert SECRET not in result.output + result.stderr + repr(result.exception)


@pytest.mark.process
@pytest.mark.parametrize("role", ["ticker", "worker"])
@pytest.mark.parametrize("form", [(), ("--log-format", "json")])
def test_the_log_of_a_process_that_finds_no_server_shows_no_password(role, form, tmp_path):
    app = ("jobistemer_app:app",) if role == "worker" else ()
    (tmp_path / "jobistemer_app.py").write_text("from jobistemer import Jobistemer\n\napp = Jobistemer()\n")
    environment = {"JOBISTEMER_URL": UNREACHABLE[0], "PYTHONUNBUFFERED": "1"}
    command = ("-m", f"jobistemer.cli.commands.{role}")
    with Process(*app, *form, "--log-level", "debug", folder=tmp_path, environment=environment, command=command) as process:
        process.says("no Redis or Valkey server answers at redis://ann:")
        assert SECRET not in process.text
