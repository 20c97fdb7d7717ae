import io
import json
import re

import pytest
from rich.console import Console
from rich.live import Live

from jobistemer import Context, Delays, Retry
from jobistemer.cli.commands.watch import show_above
from jobistemer.core.handlers.attempt_log import LogLine, encode_line
from jobistemer.store.calls.attempt_log import write_attempt_log
from jobistemer.store.reads.run_watcher import RunWatcher
from tests.support.apps import drain_queues, shard_of
from tests.support.lifecycle import enqueue, fetch_one


@pytest.fixture
def chatty(app):
    @app.task(retry=Delays((0.0,)))
    def chatty(ctx: Context, fail: bool = False) -> str:
        ctx.log(f"attempt {ctx.attempt}\x1b[2J")
        ctx.progress(1, 4, "rows")
        if ctx.attempt == 0 or fail:
            raise Retry("not yet")
        return "done"

    return chatty


def test_the_lines_of_all_attempts_are_shown_and_what_became_of_the_run(cli, app, chatty):
    run = chatty.enqueue()
    drain_queues(app)
    shown = cli("run", "watch", run.id)
    assert shown.exit_code == 0
    lines = [line[9:] if line[2:3] == ":" else line for line in shown.stdout.splitlines()]
    assert lines == [
        "info     attempt 0\\x1b[2J",
        "         progress 1 of 4 (25%) rows",
        "info     attempt 1\\x1b[2J",
        "         progress 1 of 4 (25%) rows",
        "attempt 2: succeeded",
    ]


def test_that_an_attempt_waits_or_runs_is_said_before_what_it_notes(database):
    enqueue(database)
    line = encode_line(LogLine(0, 1, "info", "here"))
    database.call(write_attempt_log(database.keys, fetch_one(database), [line], 0, 1000, b"", 60_000))
    seen = RunWatcher(database, "run_1").poll()
    assert [sight.line.text if sight.line else str(sight.state) for sight in seen] == ["pending", "here"]


def test_a_run_that_fails_ends_the_command_with_its_error(cli, app, chatty):
    run = chatty.enqueue(fail=True)
    drain_queues(app)
    shown = cli("run", "watch", run.id)
    assert shown.exit_code == 1
    assert shown.stderr == f"Error: run {run.id} ended without a result: not yet\n"


def test_each_sight_is_one_line_of_json(cli, app, chatty):
    run = chatty.enqueue()
    drain_queues(app)
    sights = [json.loads(line) for line in cli("run", "watch", run.id, "--json").stdout.splitlines()]
    assert [sight["attempt"] for sight in sights] == [0, 0, 1, 1, 1]
    assert sights[0]["line"]["text"] == "attempt 0\x1b[2J"
    assert sights[1]["progress"] == {"done": 1.0, "total": 4.0, "note": "rows"}
    assert sights[4]["state"] == "succeeded"


def test_a_run_that_is_not_on_record_is_named(cli, app):
    shown = cli("run", "watch", "run_0")
    assert shown.exit_code == 1
    assert "run run_0 is not on record" in shown.stderr


def test_on_a_terminal_the_progress_is_one_bar_that_stays_below_the_lines(app, chatty):
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    run = chatty.enqueue()
    drain_queues(app)
    watcher = RunWatcher(shard_of(app), run.id)
    with Live(console=console, auto_refresh=False) as live:
        for update in watcher.poll():
            show_above(live, update)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    assert "attempt 2: succeeded" in shown
    # What is drawn last is the bar: the lines were printed above it.
    assert "progress 1 of 4 (25%) rows" in shown.strip().splitlines()[-1]
    assert re.search("[━╸╺]", shown)


def test_a_handle_can_be_watched_too(app, chatty):
    run = chatty.enqueue()
    drain_queues(app)
    assert [sight.line.text[:9] for sight in run.watch() if sight.line] == ["attempt 0", "attempt 1"]


def test_lines_that_are_no_longer_kept_are_said_to_be_missing(cli, app):
    @app.task
    def flood(ctx: Context) -> None:
        for n in range(1200):
            ctx.log(f"line {n}")

    run = flood.enqueue()
    drain_queues(app)
    shown = cli("run", "watch", run.id).stdout.splitlines()
    assert shown[0] == "… 200 lines are no longer kept"
    assert shown[1].endswith("line 200")
