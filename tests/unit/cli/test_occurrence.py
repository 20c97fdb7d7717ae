import json

from tests.support.lifecycle import build_ended, fetch_one, finish


def triggered(app, shard, state="succeeded", **outcome):
    """The app's nightly job has run; its occurrence."""
    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    definition = app.control.find("nightly").job
    finish(shard, build_ended(fetch_one(shard), state, **outcome), definition)
    return occurrence


def test_an_occurrence_is_shown_with_each_of_its_tasks(cli, app, shard):
    occurrence = triggered(app, shard, "failed", error="ValueError: no", final=True)
    shown = cli("occurrence", "show", occurrence).stdout
    for text in (occurrence, "nightly version 1", "reason", "failed", "ValueError: no"):
        assert text in shown


def test_as_json_it_is_the_execution_report(cli, app, shard):
    occurrence = triggered(app, shard)
    told = json.loads(cli("occurrence", "show", occurrence, "--json").stdout)
    assert (told["occurrence"], told["state"]) == (occurrence, "completed")
    assert [(task["name"], task["state"], len(task["attempts"])) for task in told["tasks"]] == [
        ("nightly", "succeeded", 1)
    ]


def test_one_that_is_not_on_record_is_an_error(cli):
    result = cli("occurrence", "show", "occ_1")
    assert result.exit_code == 1
    assert "occ_1 is not on record: it never was, or its retention is over" in result.output


def test_the_options_of_a_job_say_where_they_come_from(cli, app):
    app.deploy()
    told = json.loads(cli("job", "options", "nightly", "--json").stdout)
    assert told["nightly"]["priority"] == {"value": 5, "source": "default"}
    assert told["nightly"]["retention_s"] == {"value": 604800.0, "source": "job: history_s"}
    assert "timeout_s" in cli("job", "options", "nightly").stdout
    assert (
        "job 'nightly' has no task 'x'; its tasks are nightly" in cli("job", "options", "nightly", "--task", "x").output
    )
