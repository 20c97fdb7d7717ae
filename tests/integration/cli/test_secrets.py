"""No secret and no character that a terminal obeys comes out of a command, whatever handlers and callers have written."""

from __future__ import annotations

import json
import logging

import pytest
from click.testing import CliRunner

from jobistemer import NO_RETRIES, Context
from jobistemer.cli import main
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command
from jobistemer.core import ids
from jobistemer.core.safe_text import hide_secrets
from jobistemer.store.calls import attempt_log
from jobistemer.store.server.urls import check_url
from tests.support.apps import drain_queues, empty_app, shard_of

FORGED = "ok\n12:00:00 info     paid 1,000,000\x1b[2J\x9b31m\u202e"


@pytest.fixture
def app(server_url, caplog):
    caplog.set_level(logging.INFO, "jobistemer")
    app = empty_app(server_url)

    @app.task(retry=NO_RETRIES)
    def connect(ctx: Context) -> None:
        ctx.logger.info("connecting to %s", "postgres://ann:hunter2@db/shop")
        ctx.log(FORGED)
        try:
            raise OSError("auth failed: password=hunter2 host=db")
        except OSError as error:
            ctx.logger.exception("again")
            raise ConnectionError(
                "redis://ann:hunter2@host:6379 said no, Authorization: Bearer hunter2hunter2"
            ) from error

    return app


@pytest.fixture
def dead(app):
    secrets = {"authorization": "hunter2", "x-api-key": "hunter2", "order": "7"}
    run = app.enqueue("connect", {}, metadata=secrets, headers=secrets)
    drain_queues(app)
    return run


def shown(app, *arguments):
    result = CliRunner().invoke(main, [*arguments, "--url", app.namespace.url, "--namespace", "test"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def test_what_is_stored_of_a_failure_holds_no_secret(app, dead):
    record = dead.record()
    assert "ConnectionError: redis://ann:***@host:6379 said no" in record.error
    log = attempt_log.read_attempt_log(shard_of(app), ids.attempt_id(dead.id, 0))
    assert "hunter2" not in record.error + str(log)
    assert "connecting to postgres://ann:***@db/shop" in str(log)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", [("dead", "show"), ("dead", "list"), ("run", "show"), ("run", "watch")])
def test_no_command_shows_a_secret_or_sends_a_control_character(app, dead, command, as_json):
    rest = [] if command[1] == "list" else [dead.id]
    output = shown(app, *command, *rest, *(["--json"] if as_json else []))
    assert output
    assert "hunter2" not in output
    assert all(line.isprintable() for line in output.split("\n"))
    if command == ("dead", "show"):
        assert "order" in output


def test_a_line_of_a_handler_cannot_look_like_a_line_of_the_command(app, dead):
    lines = shown(app, "run", "watch", dead.id).splitlines()
    assert not [line for line in lines if line.startswith("12:00:00")]
    (forged,) = [line for line in lines if "paid 1,000,000" in line]
    assert forged.startswith("                  │ 12:00:00 info")


def test_a_payload_comes_as_it_is_stored(app):
    run = app.enqueue("nobody_knows", {"password": "hunter2"})
    assert json.loads(shown(app, "run", "show", run.id, "--json"))


COMMAND_LINES = [
    ("redis://ann:hunter2@h",),
    ("job", "list", "redis://ann:hunter2@h"),
    ("job", "show", "redis://ann:hunter2@h", "--no-such"),
    ("job", "list", "--url", "redis://ann:hunter2@h:x"),
    ("job", "list", "--url", "redis://:hunter2@127.0.0.1:1/0"),
    ("job", "list", "--url", "http://ann:hunter2@h"),
    ("job", "list", "--password=hunter2"),
    ("enqueue", "t", '{"password": "hunter2"', "--url", "fake://x"),
    ("dead", "replay", "run_1", "--payload", '{"password": "hunter2"'),
    ("next", "redis://ann:hunter2@h"),
    ("deploy", "redis://ann:hunter2@h"),
    ("acl", "redis://ann:hunter2@h"),
    ("queue", "pause", "redis://ann:hunter2@h", "--url", "fake://x"),
    ("run", "show", "redis://ann:hunter2@h", "--url", "fake://x"),
    ("simulate", "redis://ann:hunter2@h", "--days", "x"),
]


@pytest.mark.parametrize("arguments", COMMAND_LINES, ids=" ".join)
def test_an_error_repeats_no_secret_of_its_command_line(arguments):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code
    assert "hunter2" not in result.output
    assert all(line.isprintable() for line in result.output.split("\n"))


@pytest.mark.parametrize("command", [worker_command, ticker_command])
@pytest.mark.parametrize(
    "arguments",
    [("redis://ann:hunter2@h", "x"), ("--password=hunter2",), ("--url", "redis://ann:hunter2@h:x")],
    ids=" ".join,
)
def test_processes_repeat_no_secret_either(command, arguments):
    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code
    assert "hunter2" not in result.output


def test_the_password_of_the_server_is_hidden_wherever_it_stands():
    check_url("redis://ann:tr0ub4dor%2F3@h:6379/0?ssl_password=k3yk3yk3y")
    assert hide_secrets("tr0ub4dor/3, tr0ub4dor%2F3, k3yk3yk3y") == "***, ***, ***"
