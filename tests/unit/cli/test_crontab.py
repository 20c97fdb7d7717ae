import json
from pathlib import Path

FILES = Path(__file__).resolve().parents[1] / "core" / "jobs" / "crontabs"


def test_a_dry_run_shows_the_jobs_and_registers_none(cli, app):
    shown = cli("crontab", "import", FILES / "debian_crontab.txt", "--system", "--dry-run")
    assert shown.exit_code == 0
    assert shown.stdout.count("would be made") == 4
    assert "cd / && run-parts --report /etc/cron.hourly" in shown.stdout
    assert json.loads(cli("job", "list", "--json").stdout)["jobs"] == []


def test_jobs_are_registered_and_a_second_import_changes_nothing(cli, app):
    arguments = ("crontab", "import", FILES / "debian_crontab.txt", "--system", "--json")
    assert {job["registered"] for job in json.loads(cli(*arguments).stdout)["jobs"]} == {"CREATED"}
    assert {job["registered"] for job in json.loads(cli(*arguments).stdout)["jobs"]} == {"UNCHANGED"}
    assert len(json.loads(cli("job", "list", "--json").stdout)["jobs"]) == 4


def test_a_refused_line_is_shown_with_its_reason_and_the_exit_code_says_so(cli, app):
    shown = cli("crontab", "import", FILES / "user.txt", "--dry-run")
    assert shown.exit_code == 1
    assert "@reboot names no instant: a cluster does not boot" in shown.stdout
    assert shown.stdout.count("refused") == 5
    assert shown.stdout.count("would be made") == 5


def test_a_crontab_can_come_from_standard_input(cli, app):
    shown = cli("crontab", "import", "-", "--dry-run", "--timezone", "Europe/Berlin", input="5 0 * * * backup\n")
    assert shown.exit_code == 0
    assert "5 0 * * * Europe/Berlin" in shown.stdout
