import io
import json

import pytest
from rich.console import Console

from jobistemer import Delays
from jobistemer.cli.commands.job.history import history_table
from jobistemer.core import ids
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import OccurrenceState
from jobistemer.store.calls.jobs import find_job
from tests.support.lifecycle import build_ended, fetch_one, finish


@pytest.fixture
def deployed(app):
    app.deploy()
    return app


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_empty_namespace_says_how_jobs_get_there(cli):
    assert "`jobistemer deploy` registers" in cli("job", "list").stdout
    assert told(cli("job", "list", "--json"))["jobs"] == []


def test_the_list_shows_each_job_with_its_schedule_and_what_is_due_next(cli, deployed):
    (nightly, yearly) = told(cli("job", "list", "--json"))["jobs"]
    assert (nightly["name"], yearly["name"]) == ("nightly", "yearly")
    assert nightly["next_due"] < yearly["next_due"]
    assert (nightly["live"], nightly["queued"], nightly["last"]) == (0, 0, None)
    assert "nightly" in cli("job", "list").stdout


def test_the_list_can_be_paged(cli, deployed):
    assert [job["name"] for job in told(cli("job", "list", "--json", "--limit", 1, "--offset", 1))["jobs"]] == [
        "yearly"
    ]


def test_one_job_is_shown_with_its_tasks_and_policies(cli, deployed):
    assert told(cli("job", "show", "yearly", "--json"))["definition"]["overlap"] == "queue"
    shown = cli("job", "show", "nightly").stdout
    assert "every night" in shown
    assert "overlap skip, recovery execute_last" in shown


def test_the_options_of_a_task_are_shown_in_words(cli, app):
    job = app.job("0 3 * * *", name="odd")

    @job.task(queue="mail", priority=7, retry=Delays((1.0,) * 40))
    def only() -> None: ...

    app.deploy()
    shown = cli("job", "show", "odd").stdout
    assert "only  odd.only" in shown
    assert "queue mail, priority 7, retry 40 times" in shown


def test_in_a_pipe_lines_are_neither_broken_nor_padded(cli, deployed):
    cli("job", "pause", "nightly", "--note", "x" * 500)
    shown = cli("job", "show", "nightly").stdout
    assert "x" * 500 in shown
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_the_next_instants_are_those_of_the_schedule(cli, deployed):
    instants = told(cli("job", "next", "nightly", "-n", 3, "--json"))
    assert len(instants) == 3
    assert all(each.endswith("T02:00:00Z") for each in instants)
    assert cli("job", "next", "nightly", "-n", 3).stdout.count("02:00:00") == 3


def test_pausing_and_resuming_shows_in_the_list_and_is_stored(cli, deployed, shard):
    assert cli("job", "pause", "nightly", "--note", "holidays", "--by", "ana").stdout == "nightly is paused\n"
    assert find_job(shard, "nightly").paused == "paused by ana: holidays"
    assert "paused" in cli("job", "list").stdout

    assert cli("job", "resume", "nightly").exit_code == 0
    assert find_job(shard, "nightly").paused == ""


def test_a_pause_can_end_by_itself(cli, deployed, shard):
    cli("job", "pause", "nightly", "--until", "2100-01-01T00:00:00Z")
    assert find_job(shard, "nightly").paused_until == 4_102_444_800_000


def test_a_triggered_job_has_an_occurrence_whose_history_says_why(cli, deployed):
    fired = told(cli("job", "trigger", "nightly", "--json"))
    assert fired["state"] == "pending"
    (record,) = told(cli("job", "history", "nightly", "--json"))["occurrences"]
    assert (record["id"], record["state"]) == (fired["occurrence"], "pending")
    assert "triggered by" in cli("job", "history", "nightly").stdout


def test_a_trigger_that_the_overlap_policy_skips_is_a_failure_for_scripts(cli, deployed):
    cli("job", "trigger", "nightly")
    again = cli("job", "trigger", "nightly")
    assert again.exit_code == 1
    assert "is skipped" in again.stdout


def test_the_history_has_the_newest_first_and_can_be_paged(cli, deployed, shard):
    first = told(cli("job", "trigger", "nightly", "--json"))["occurrence"]
    finish(shard, build_ended(fetch_one(shard)), find_job(shard, "nightly").job)
    second = told(cli("job", "trigger", "nightly", "--json"))["occurrence"]
    history = told(cli("job", "history", "nightly", "--json"))["occurrences"]
    assert {each["id"]: each["state"] for each in history} == {first: "completed", second: "pending"}
    newest_first = sorted(history, key=lambda each: each["due"], reverse=True)
    assert history == newest_first
    assert told(cli("job", "history", "nightly", "--json", "--offset", 1))["occurrences"] == newest_first[1:]


def test_a_removed_job_is_gone_from_the_list(cli, deployed):
    assert cli("job", "remove", "nightly").exit_code == 0
    assert [job["name"] for job in told(cli("job", "list", "--json"))["jobs"]] == ["yearly"]


@pytest.mark.parametrize("command", ["show", "next", "history", "pause", "resume", "trigger", "remove"])
def test_a_job_that_is_not_registered_is_one_line_and_exit_code_1(cli, command):
    result = cli("job", command, "nope")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Error: no job 'nope' is registered in namespace 'jobistemer'; deploy it first\n"


def test_an_until_that_is_no_instant_is_refused(cli, deployed):
    result = cli("job", "pause", "nightly", "--until", "tomorrow")
    assert result.exit_code == 2
    assert result.stderr == "Error: instant 'tomorrow' is not ISO 8601, such as 2026-01-31T09:00:00Z\n"


def test_all_shards_are_listed_together(cli, url):
    from jobistemer import Jobistemer

    app = Jobistemer(url, shards=3)
    for n in range(9):
        app.job(f"{n} 0 * * *", name=f"job{n}")(lambda: None)
    app.deploy()
    assert len({id(app.namespace.for_job(ids.job_id(f"job{n}"))) for n in range(9)}) == 3
    assert {job["name"] for job in told(cli("job", "list", "--json"))["jobs"]} == {f"job{n}" for n in range(9)}
    assert cli("job", "show", "job7").exit_code == 0


def test_the_log_shows_who_did_what(cli, deployed):
    assert "no job of this name was ever registered" in cli("job", "log", "nobody").stdout
    cli("job", "pause", "nightly", "--note", "release", "--by", "ana")
    cli("job", "resume", "nightly", "--by", "bo")
    assert [
        (each["what"], each["by"]) for each in told(cli("job", "log", "nightly", "--json", "--limit", 2))["changes"]
    ] == [
        ("resumed", "bo"),
        ("paused", "ana"),
    ]
    assert "paused   ana" in cli("job", "log", "nightly").stdout


def test_a_pause_that_would_be_over_is_refused(cli, deployed):
    result = cli("job", "pause", "nightly", "--until", "2020-01-01T00:00:00")
    assert result.exit_code == 2
    assert "is over" in result.stderr


def test_on_a_terminal_the_history_has_the_ends_of_ids_and_reasons_without_them():
    record = OccurrenceRecord("occ_0b261621-c512-5c9f-8768-1b57828c17cb", "job_1", 1, 60, OccurrenceState.SKIPPED,
                              "skipped because occ_deb92a46-45f9-5bfc-9e25-6f7e151919d4 was still running", 60_000)  # fmt: skip
    due = {"occ_deb92a46-45f9-5bfc-9e25-6f7e151919d4": 0}
    shown = {whole: _print(history_table([record], due, 60_000, whole=whole)) for whole in (True, False)}
    assert "…828c17cb" in shown[False]
    assert "the one of 1970-01-01 00:00:00 was still running" in shown[False]
    assert record.id in shown[True]
    assert "(occ_deb92a46" in shown[True]
    # It never ran, so it took no time at all.
    assert "0 ms  – " in shown[False]


def _print(table):
    console = Console(width=400, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_a_job_that_has_ended_itself_has_no_next_instants_and_says_how_it_is_taken_back(cli, deployed, shard):
    deployed.control.trigger("nightly")
    done = build_ended(fetch_one(shard), done="all imported")
    finish(shard, done, deployed.control.find("nightly").job)
    why = "ended by its task nightly: all imported"
    back = f"none: {why}; `jobistemer job resume nightly` lets it fire again"
    assert told(cli("job", "show", "nightly", "--json"))["next"] == []
    shown = " ".join(cli("job", "show", "nightly").stdout.split())
    assert f"state {why}" in shown
    assert back in shown
    assert told(cli("job", "next", "nightly", "--json")) == []
    assert back in cli("job", "next", "nightly").stdout
    (listed,) = [each for each in told(cli("job", "list", "--json"))["jobs"] if each["name"] == "nightly"]
    assert listed["next_due"] is None
    assert "ended" in cli("job", "list").stdout
    assert deployed.control.next_run("nightly") is None

    assert cli("job", "resume", "nightly").exit_code == 0
    assert len(told(cli("job", "show", "nightly", "--json"))["next"]) == 5
    assert deployed.control.next_run("nightly") is not None
