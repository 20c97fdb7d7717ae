"""`jobistemer next`, as a person or a script uses it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from jobistemer.cli.commands.next import next_command


def run(*arguments):
    return CliRunner().invoke(next_command, arguments, env={"COLUMNS": "120"})


def test_the_next_instants_are_shown_on_the_local_clock_and_in_utc():
    result = run("0 2 * * 1-5", "--tz", "Europe/Berlin", "-n", "2", "--from", "2026-06-05T12:00:00")
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert " ".join(lines[0]) == "at 02:00, Monday to Friday (Europe/Berlin)"
    assert lines[2] == ["Mon", "2026-06-08", "02:00:00", "+0200", "2026-06-08", "00:00:00"]
    assert lines[3] == ["Tue", "2026-06-09", "02:00:00", "+0200", "2026-06-09", "00:00:00"]


def test_changes_of_the_clock_are_marked():
    output = run("30 2 * * *", "--tz", "Europe/Berlin", "-n", "3", "--from", "2026-03-27T12:00:00").output
    assert "clock goes from 02:00 to 03:00" in output
    assert "moved: 02:30 does not exist" in output
    output = run(
        "30 2 * * *", "--tz", "Europe/Berlin", "-n", "3", "--from", "2026-10-24T12:00:00", "--dst", "both"
    ).output
    assert "first pass of 02:30" in output
    assert "second pass of 02:30" in output
    assert "clock goes from 03:00 to 02:00" in output


def test_json_says_the_same_to_a_script():
    answer = json.loads(
        run("0 0 * * *", "-n", "2", "--from", "2026-12-24T12:00Z", "--calendar", "2026-12-25", "--json").output
    )
    assert answer["description"] == "at 00:00, every day (UTC)"
    assert [instant["at"] for instant in answer["instants"]] == [
        "2026-12-25T00:00:00Z",
        "2026-12-26T00:00:00Z",
    ]
    assert [instant.get("excluded_by") for instant in answer["instants"]] == ["2026-12-25", None]
    assert answer["clock_changes"] == []


def test_an_interval_counts_from_the_instant_that_is_asked_about():
    answer = json.loads(run("PT6H", "-n", "2", "--from", "2026-01-01T00:00:00Z", "--json").output)
    assert [instant["at"] for instant in answer["instants"]] == [
        "2026-01-01T06:00:00Z",
        "2026-01-01T12:00:00Z",
    ]


def test_without_from_the_clock_is_read():
    assert len(json.loads(run("* * * * *", "--json").output)["instants"]) == 5


def test_a_schedule_without_a_further_instant_says_never():
    result = run("0 0 0 1 1 ? 2020", "--from", "2026-01-01T00:00Z")
    assert result.exit_code == 0
    assert "never" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0 25 * * *"], "hour 25 is out of 0–23"),
        (["0 0 * * *", "--tz", "Berlin"], "did you mean 'Europe/Berlin'?"),
        (["PT6H", "--dst", "skip"], "--dst is for cron expressions"),
        (["0 0 * * *", "--from", "soon"], "is not ISO 8601"),
        (["0 0 * * *", "--calendar", "XX"], "country 'XX'"),
        (["0 0 * * *", "-n", "0"], "0 is not in the range"),
        (["0 0 * * *", "--dst", "twice"], "'twice' is not one of"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason_and_exit_code_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_beside_croniter_each_instant_that_only_one_of_the_two_knows_is_named():
    # croniter is due in both passes of an overlap of the clock, this package in the first one
    result = run("30 2 * * *", "--tz", "Europe/Berlin", "--from", "2026-06-05T12:00:00", "--beside", "croniter")
    assert result.exit_code == 0
    assert "1 difference to croniter in 400 instants until 2027-07-10" in result.output
    assert "Sun 2026-10-25 02:30:00 +0100  due in croniter only" in result.output


def test_beside_croniter_says_so_where_nothing_differs_and_where_it_cannot_read_the_expression():
    assert "croniter is due at the same instants: 400 instants" in run("0 0 * * *", "--beside", "croniter").output
    answer = json.loads(run("0 0 0 1 1 ? 2030", "--beside", "croniter", "--json").output)["beside"]
    assert (answer["engine"], answer["differences"]) == ("croniter", [])
    assert answer["error"].startswith("croniter does not read it: ")


def test_only_cron_expressions_are_compared():
    result = run("PT6H", "--beside", "croniter")
    assert result.exit_code == 2
    assert "--beside croniter is for cron expressions" in result.output
