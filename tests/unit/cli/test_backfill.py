import json
from datetime import UTC, datetime, timedelta

import pytest

from jobistemer.store.calls.jobs import find_job
from tests.support.lifecycle import build_ended, fetch_one, finish
from tests.support.step_system import build_ticker


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def week(app):
    app.deploy()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return ("--from", (today - timedelta(days=7)).isoformat(), "--to", today.isoformat())


def test_a_dry_run_names_what_would_run_and_starts_nothing(cli, week):
    shown = cli("job", "backfill", "nightly", *week, "--dry-run").stdout
    assert "to run (UTC)  7: " in shown
    assert told(cli("backfill", "list", "--json"))["backfills"] == []
    assert cli("backfill", "list").stdout == "no backfill is running\n"


def test_a_backfill_is_started_shown_and_canceled(cli, week, shard):
    started = told(cli("job", "backfill", "nightly", *week, "--order", "backward", "--json"))
    assert started["to_run"] == 7
    build_ticker(shard).tick()
    known = told(cli("backfill", "show", started["id"], "--json"))
    assert (known["progress"]["status"], known["progress"]["fired"]) == ("running", 1)
    assert started["id"] in cli("backfill", "list").stdout
    assert cli("backfill", "cancel", started["id"]).stdout == f"{started['id']} is canceled\n"
    assert cli("backfill", "cancel", started["id"]).stdout == f"{started['id']} had ended before\n"


def test_a_backfill_that_is_not_on_record_is_one_line(cli, app):
    result = cli("backfill", "show", "bf_0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no backfill bf_0 is on record" in result.stderr


def test_an_occurrence_is_replayed(cli, app, shard):
    app.deploy()
    old = told(cli("job", "trigger", "nightly", "--json"))["occurrence"]
    finish(shard, build_ended(fetch_one(shard)), find_job(shard, "nightly").job)
    new = told(cli("occurrence", "replay", old, "--json"))
    assert new["replay_of"] == old
    assert {each["id"] for each in told(cli("job", "history", "nightly", "--json"))["occurrences"]} == {
        old,
        new["occurrence"],
    }


def test_an_audit_without_findings_says_how_much_it_looked_at(cli, app):
    app.deploy()
    result = cli("audit")
    assert (result.exit_code, result.stdout) == (0, "2 jobs, 0 due instants, 0 findings\n")


def test_an_audit_names_a_row_that_was_deleted_and_fails(cli, app, shard):
    app.job("* * * * * *", name="pulse", grace_s=0)(lambda: None)
    app.deploy()
    keys, job = shard.keys, find_job(shard, "pulse").job
    # As if it had been registered an hour ago and everything since had been decided.
    since = int(shard.client.hget(keys.versions(job.id), "1:after")) - 3600
    shard.client.hset(keys.versions(job.id), "1:after", since)
    result = cli(
        "audit",
        "pulse",
        "--from",
        datetime.fromtimestamp(since + 1, UTC).isoformat(),
        "--to",
        datetime.fromtimestamp(since + 2, UTC).isoformat(),
    )
    assert result.exit_code == 1
    assert result.stdout.count("hole") == 2
    assert "1 job, 2 due instants, 2 findings" in result.stdout
    answer = cli("audit", "pulse", "--json")
    assert answer.exit_code == 1
    assert len(json.loads(answer.stdout)[0]["findings"]) >= 3600


def test_an_audit_of_nothing_on_record_and_of_an_empty_range_are_refused(cli, app):
    app.deploy()
    assert "nothing is on record of a job 'nope'" in cli("audit", "nope").stderr
    swapped = cli("audit", "--from", "2026-02-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z")
    assert "is empty; were the two swapped?" in swapped.stderr
