import json
import sys

import pytest

from jobistemer import NO_RETRIES
from tests.support.lifecycle import build_ended, fetch_one, finish


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_what_is_enqueued_reaches_a_worker_with_its_payload_queue_and_priority(cli, shard):
    run = told(cli("enqueue", "greet", '{"name": "ann"}', "--queue", "mail", "--priority", 7, "--json"))
    message = fetch_one(shard, where="mail:7").message
    assert (message.run, message.handler, bytes(message.payload)) == (run["run"], "greet", b'{"name":"ann"}')


def test_the_payload_can_come_from_standard_input(cli, shard):
    assert cli("enqueue", "greet", "-", input='{"name": "bob"}').exit_code == 0
    assert bytes(fetch_one(shard).message.payload) == b'{"name":"bob"}'


def test_a_delayed_call_is_scheduled(cli):
    run = told(cli("enqueue", "greet", "--delay", 60, "--json"))["run"]
    assert told(cli("run", "show", run, "--json"))["run"]["state"] == "scheduled"


def test_a_call_at_an_instant_is_due_then(cli):
    run = told(cli("enqueue", "greet", "--at", "2100-01-01T00:00:00Z", "--json"))["run"]
    assert told(cli("run", "show", run, "--json"))["run"]["due_at"] == "2100-01-01T00:00:00Z"


def test_a_unique_key_gives_the_run_that_holds_it(cli):
    first = told(cli("enqueue", "greet", "--unique", "k", "--json"))
    second = told(cli("enqueue", "greet", "--unique", "k", "--json"))
    assert second == {"run": first["run"], "existing": True}
    assert "it was there already" in cli("enqueue", "greet", "--unique", "k").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("greet", "{name"), 2, "'{name' is not JSON"),
        (("greet", "[1]"), 2, "must be an object of keyword arguments, not [1]"),
        (("gr eet",), 2, "task name 'gr eet' is not allowed"),
        (("greet", "--priority", "12"), 2, "priority is 12, allowed are whole numbers from 0 to 9"),
        (("greet", "--delay", "-1"), 2, "delay is -1.0, allowed are 0 and more seconds"),
        (("greet", "--delay", "1", "--at", "2100-01-01T00:00:00Z"), 2, "give one of them"),
        (("greet", "--at", "soon"), 2, "instant 'soon' is not ISO 8601"),
    ],
)
def test_what_cannot_be_enqueued_is_refused_in_one_line(cli, arguments, code, message):
    result = cli("enqueue", *arguments)
    assert result.exit_code == code
    assert message in result.stderr.splitlines()[-1]


def test_a_run_is_shown_with_all_its_attempts(cli, app, shard):
    run = app.enqueue("other", {"n": 1}).id
    finish(shard, build_ended(fetch_one(shard), "lost", error="its worker alice died"))
    finish(shard, build_ended(fetch_one(shard), "succeeded", worker="bob", result=b'"done"'), None)
    record = told(cli("run", "show", run, "--json"))
    assert [(each["state"], each["worker"]) for each in record["attempts"]] == [("lost", "alice"), ("succeeded", "bob")]
    assert record["run"]["result"] == "done"
    assert "its worker alice died" in cli("run", "show", run).stdout


def test_a_run_that_is_not_on_record_is_not_found(cli):
    result = cli("run", "show", "run_nope")
    assert result.exit_code == 1
    assert result.stderr == "Error: run run_nope is not on record: it never was, or its retention is over\n"


def test_what_a_task_says_cannot_move_the_terminal(cli, app, shard):
    run = app.enqueue("greet").id
    finish(shard, build_ended(fetch_one(shard), "failed", error="\x1b[2J[red]gone\x07"))
    shown = cli("run", "show", run).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\\x1b[2J[red]gone\\x07" in shown


def test_a_call_can_say_everything_that_code_can(cli, shard):
    run = told(
        cli(
            *("enqueue", "greet", '{"name": "ann"}', "--timeout", 2.5, "--max-retries", 7, "--retention", 60),
            *("--expires", 3600, "--metadata", "order=7", "--metadata", "by=a=b", "--header", "trace=4bf9", "--json"),
        )
    )["run"]
    message = fetch_one(shard).message
    assert (message.run, message.timeout_ms, message.retry.max_retries, message.retention_ms) == (run, 2500, 7, 60_000)
    assert (message.metadata, message.headers) == ({"order": "7", "by": "a=b"}, {"trace": "4bf9"})
    assert message.expires_at == message.enqueue_ms + 3_600_000


def test_a_key_is_held_as_long_as_the_call_says(cli, shard):
    first = told(cli("enqueue", "greet", "--unique", "k", "--unique-until", "started", "--json"))["run"]
    message = fetch_one(shard).message
    assert (message.run, message.unique_queued) == (first, True)
    kept = told(cli("enqueue", "greet", "--unique", "w", "--unique-window", 60, "--json"))["run"]
    finish(shard, build_ended(fetch_one(shard), "succeeded"))
    assert told(cli("enqueue", "greet", "--unique", "w", "--unique-window", 60, "--json")) == {
        "run": kept,
        "existing": True,
    }


def test_throttle_and_debounce_have_keys(cli):
    first = told(cli("enqueue", "greet", "--throttle", 60, "--throttle-key", "a", "--json"))
    assert not told(cli("enqueue", "greet", "--throttle", 60, "--throttle-key", "b", "--json"))["existing"]
    assert told(cli("enqueue", "greet", "--throttle", 60, "--throttle-key", "a", "--json"))["run"] == first["run"]
    waits = ("enqueue", "greet", "--debounce", 60, "--debounce-longest", 90, "--debounce-key", "a", "--json")
    held = told(cli(*waits))
    assert told(cli(*waits)) == {"run": held["run"], "existing": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--unique-window", "5"), "--unique-window needs --unique, which is not given"),
        (("--unique", "k", "--unique-until", "ended", "--unique-window", "5"), "are given together"),
        (("--throttle-key", "k"), "--throttle-key needs --throttle"),
        (("--debounce-longest", "5"), "--debounce-longest needs --debounce"),
        (("--metadata", "order"), "'order' must look like NAME=TEXT"),
        (("--unique-until", "never"), "is not one of 'ended', 'started'"),
    ],
)
def test_options_that_do_not_go_together_are_a_wrong_usage(cli, arguments, message):
    result = cli("enqueue", "greet", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


SHOP = """
from jobistemer import NO_RETRIES, Jobistemer
app = Jobistemer()

@app.task(queue="mail", priority=7, retry=NO_RETRIES)
def send(to: str) -> None: ...
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """An app in the current folder; its module is forgotten afterwards."""
    (tmp_path / "shop_to_call.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "shop_to_call:app"
    sys.modules.pop("shop_to_call", None)


def test_a_task_of_an_app_that_is_named_has_its_own_options_and_others_have_the_defaults(cli, shop, shard):
    assert cli("enqueue", "send", '{"to": "ann"}', "--app", shop).exit_code == 0
    assert fetch_one(shard, where="mail:7").message.retry == NO_RETRIES
    assert cli("enqueue", "send", '{"to": "ann"}').exit_code == 0
    assert fetch_one(shard).message.handler == "send"


def test_a_payload_that_does_not_fit_the_task_of_a_named_app_is_refused_here(cli, shop):
    result = cli("enqueue", "send", '{"to": 7}', "--app", shop)
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: payload of task 'send' does not fit: Expected `str`, got `int` - at `$.to`\n",
    )


def test_a_task_that_the_named_app_has_not_is_told_with_what_it_has(cli, shop):
    assert (
        "app 'shop_to_call:app' has no task 'sent'; did you mean 'send'?"
        in cli("enqueue", "sent", "--app", shop).stderr
    )
    assert "has no task 'x'; it has send\n" in cli("enqueue", "x", "--app", shop).stderr
