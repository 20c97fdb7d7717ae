import json

import pytest

from jobistemer.control.purge_runs import purge_runs
from jobistemer.core.errors import InvalidInput
from tests.support.lifecycle import build_ended, fetch_one, finish

HOUR_MS = 3_600_000


@pytest.fixture
def old(app, shard):
    """A run that ended two hours ago, and one that has just ended."""
    runs = []
    for age in (2 * HOUR_MS, 0):
        runs.append(app.enqueue("greet", {"name": "Ada"}).id)
        over = build_ended(fetch_one(shard))
        finish(shard, over._replace(ended_at=shard.read_clock() - age))
    return runs[0]


def is_on_record(shard, run):
    return bool(shard.read("EXISTS", shard.keys.run(run)))


def test_a_dry_run_counts_and_deletes_nothing(cli, old, shard):
    result = cli("purge", "runs", "--older-than", "1h", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "1 succeeded would be purged\n")
    assert is_on_record(shard, old)


def test_runs_that_ended_before_are_purged_and_it_is_on_record_who_did_it(cli, old, shard):
    result = cli("purge", "runs", "--older-than", "1h", "--yes", "--by", "ann", "--json")
    assert json.loads(result.stdout) == {"purged": 1, "found": {"succeeded": 1}, "dry_run": False}
    assert not is_on_record(shard, old)
    assert cli("purge", "runs", "--older-than", "1h", "--yes").stdout == "no run purged\n"
    (change,) = json.loads(cli("changes", "--json").stdout)["changes"]
    assert (change["by"], change["what"]) == ("ann", "purge runs")


def test_dead_letters_stay_unless_the_state_dead_is_named(cli, app, shard):
    run = app.enqueue("greet", {"name": "Ada"}).id
    over = build_ended(fetch_one(shard), "failed", error="ValueError: no")
    finish(shard, over._replace(ended_at=shard.read_clock() - HOUR_MS))
    assert cli("purge", "runs", "--older-than", "1m", "--yes").stdout == "no run purged\n"
    assert is_on_record(shard, run)
    purged = cli("purge", "runs", "--older-than", "1m", "--yes", "--state", "dead")
    assert purged.stdout == "1 dead purged\n"
    assert not is_on_record(shard, run)


def test_without_a_yes_nothing_is_deleted(cli, old, shard):
    result = cli("purge", "runs", "--older-than", "1h", input="n\n")
    assert result.exit_code == 1
    assert is_on_record(shard, old)


@pytest.mark.parametrize("age", ["30", "-1d", "1 d", "1y", ""])
def test_an_age_without_a_unit_is_refused_with_an_example(cli, age):
    result = cli("purge", "runs", f"--older-than={age}", "--yes")
    assert result.exit_code == 2
    assert "such as 30d" in result.stderr


@pytest.mark.parametrize("given", [{"states": ["running"]}, {"states": []}, {"older_than_s": -1.0}])
def test_what_has_not_ended_and_an_age_that_cannot_be_are_refused(app, given):
    with pytest.raises(InvalidInput, match="allowed are"):
        purge_runs(app.namespace, **({"older_than_s": 1.0} | given))
