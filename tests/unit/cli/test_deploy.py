import json

import pytest
from click.testing import CliRunner

from jobistemer.cli import main

OLD = """
from jobistemer import Jobistemer
app = Jobistemer()

@app.job("0 2 * * *")
def nightly() -> None: ...

@app.job("0 0 1 1 *")
def yearly() -> None: ...
"""
NEW = OLD.replace("0 2 * * *", "0 3 * * *").replace("def yearly", "def hourly").replace("0 0 1 1 *", "0 * * * *")


@pytest.fixture
def deploy(url, tmp_path, monkeypatch):
    """`deploy(OLD, "--dry-run")` deploys an app with this text; each has a module of its own, and the same name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(text, *options):
        import sys

        sys.modules.pop("shop", None)
        (tmp_path / "shop.py").write_text(text)
        # The text may have changed within a second and in no length, which a cached one would hide.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return CliRunner().invoke(main, ["deploy", "shop:app", *options])

    return run


def told(result):
    return json.loads(result.stdout)


def test_a_dry_run_shows_what_is_new_and_registers_nothing(deploy, cli):
    result = deploy(OLD, "--dry-run")
    assert result.exit_code == 4
    assert "+ nightly: new\n    30 fire times appear within 30 days" in result.stdout
    assert told(cli("job", "list", "--json"))["jobs"] == []


def test_a_deployment_that_is_applied_leaves_nothing_to_do(deploy):
    assert deploy(OLD).exit_code == 0
    again = deploy(OLD, "--dry-run")
    assert (again.exit_code, again.stdout) == (0, "2 unchanged\n")


def test_the_plan_names_fields_and_fire_times_and_what_is_no_longer_declared(deploy):
    deploy(OLD)
    shown = deploy(NEW, "--dry-run").stdout
    assert "~ nightly: version 1 becomes 2\n    schedule.expression  0 2 * * *  →  0 3 * * *\n" in shown
    assert "30 fire times appear within 30 days" in shown
    assert "30 fire times vanish within 30 days" in shown
    assert "+ hourly: new\n" in shown
    assert "- yearly: no longer declared; it stays (--remove removes it)\n" in shown


def test_only_with_remove_jobs_are_removed_and_only_those_of_this_app(deploy, cli, app):
    app.job("0 5 * * *", name="of_another")(lambda: None)
    app.control.register(app.declarations["of_another"].build(), owner="other:app")
    deploy(OLD)
    deploy(NEW)
    assert {each["name"] for each in told(cli("job", "list", "--json"))["jobs"]} == {
        "nightly",
        "yearly",
        "hourly",
        "of_another",
    }
    assert deploy(NEW, "--dry-run").exit_code == 0
    assert deploy(NEW, "--dry-run", "--remove").exit_code == 4
    result = told(deploy(NEW, "--remove", "--json"))
    assert {"job": "yearly", "word": "REMOVED", "version": 1} in result["applied"]
    assert {each["name"] for each in told(cli("job", "list", "--json"))["jobs"]} == {"nightly", "hourly", "of_another"}


def test_a_release_that_was_set_back_is_deployed_and_told_in_words(deploy, cli):
    deploy(OLD)
    deploy(NEW)
    result = deploy(OLD)
    assert result.exit_code == 0
    assert "~ nightly: version 2 becomes 3, back to what version 1 was\n" in result.stdout
    shown = told(cli("job", "show", "nightly", "--json"))
    assert (shown["summary"]["version"], shown["definition"]["schedule"]["expression"]) == (3, "0 2 * * *")
    assert "back to what version 2 was" in deploy(NEW).stdout


def test_an_old_process_that_starts_beside_a_new_one_changes_nothing_and_ends_with_a_code_of_its_own(deploy, cli):
    deploy(OLD)
    deploy(NEW)
    result = deploy(OLD, "--keep-newer")
    assert result.exit_code == 3
    assert "! nightly: version 2 is newer than this app's; it stays" in result.stdout
    assert told(cli("job", "show", "nightly", "--json"))["summary"]["version"] == 2
    assert deploy(NEW, "--keep-newer").exit_code == 0


def test_the_plan_names_a_change_that_is_taken_back(deploy):
    windowed = OLD.replace('"0 2 * * *"', '"0 3 * * *", update="windowed", update_window="0 0 4 1 1 ? 2099"')
    deploy(OLD)
    deploy(windowed)
    assert deploy(OLD, "--dry-run").exit_code == 4
    assert "~ nightly: version 1 stays; the change that waits is taken back\n" in deploy(OLD).stdout
    assert deploy(OLD, "--dry-run").exit_code == 0


def test_an_update_that_waits_for_its_window_says_when(deploy):
    windowed = OLD.replace('"0 2 * * *"', '"0 3 * * *", update="windowed", update_window="0 0 4 1 1 ? 2099"')
    deploy(OLD)
    assert ", applied 2099-01-01" in deploy(windowed, "--dry-run").stdout
    assert "POSTPONED" in deploy(windowed).stdout
    again = deploy(windowed, "--dry-run")
    assert again.exit_code == 0
    assert "… nightly: version 1, the change waits for its time, applied 2099-01-01" in again.stdout


def test_the_plan_as_json_has_the_steps(deploy):
    plan = told(deploy(OLD, "--dry-run", "--json"))
    assert [(each["job"], each["step"]) for each in plan["plan"]] == [("nightly", "add"), ("yearly", "add")]
    assert plan["applied"] == []


def test_versions_are_listed_compared_and_rolled_back(deploy, cli):
    deploy(OLD)
    deploy(NEW)
    assert [each["number"] for each in told(cli("job", "versions", "nightly", "--json"))["versions"]] == [1, 2]
    assert "at 03:00" in cli("job", "versions", "nightly").stdout
    assert "schedule.expression  0 2 * * *  →  0 3 * * *" in cli("job", "diff", "nightly", 1, 2).stdout
    back = cli("job", "rollback", "nightly", 1)
    assert back.stdout == "nightly has the definition of version 1 again, as version 3\n"
    assert cli("job", "diff", "nightly", 1, 3).stdout == "    no field differs\n    the fire times stay the same\n"


def test_a_version_that_is_not_on_record_is_one_line(deploy, cli):
    deploy(OLD)
    result = cli("job", "rollback", "nightly", 9)
    assert result.exit_code == 1
    assert result.stderr == "Error: job 'nightly' has no version 9 on record; there are 1\n"


def test_what_is_not_confirmed_is_not_applied(deploy, cli, monkeypatch):
    monkeypatch.setattr(
        "jobistemer.cli.commands.deploy.sys",
        type("Terminal", (), {"stdin": type("In", (), {"isatty": lambda self: True})()}),
    )
    monkeypatch.setattr("click.confirm", _declined)
    assert deploy(OLD).exit_code == 1
    assert told(cli("job", "list", "--json"))["jobs"] == []
    assert deploy(OLD, "--yes").exit_code == 0
    assert len(told(cli("job", "list", "--json"))["jobs"]) == 2


def _declined(*_, **__):
    import click

    raise click.Abort


MANY = """
from jobistemer import Jobistemer
app = Jobistemer()
for number in range(25):
    app.job("0 2 * * *", name=f"job-{number}")(lambda: None)
"""


def test_of_many_jobs_the_first_are_shown_and_the_others_counted(deploy):
    result = deploy(MANY)
    assert [line for line in result.stdout.splitlines() if line.startswith("+")] == [
        f"+ job-{n}: new" for n in range(10)
    ]
    assert "… and 15 more new jobs; --verbose shows them\n" in result.stdout
    assert result.stdout.endswith("25 created\n")
    assert "job-9 " in result.stdout
    assert "job-10" not in result.stdout

    again = deploy(MANY)
    assert again.stdout == "25 unchanged\n"


def test_with_verbose_every_job_is_shown(deploy):
    result = deploy(MANY, "--verbose")
    assert "+ job-24: new" in result.stdout
    assert "more new jobs" not in result.stdout
    assert sum(line.startswith("job-") for line in result.stdout.splitlines()) == 25
