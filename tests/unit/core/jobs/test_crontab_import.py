"""Crontabs as cron reads them, and the jobs that are made of them."""

import re
from pathlib import Path

import msgspec
import pytest

from jobistemer.core.jobs.crontab_import import CrontabFormat, guess_format, read_crontab, source_name, split_command
from jobistemer.core.jobs.job import Overlap, fingerprint

FILES = Path(__file__).parent / "crontabs"


def read(name, form, **options):
    return read_crontab((FILES / name).read_text(), "tab", form, **options)


def payload(job):
    return msgspec.json.decode(job.tasks[0].payload)


def test_the_systems_crontab_names_a_user_on_each_line():
    imported = read("debian_crontab.txt", CrontabFormat.SYSTEM)
    assert imported.notes == []
    assert [(job.schedule.expression, payload(job)["user"]) for job in imported.jobs] == [
        ("17 * * * *", "root"),
        ("25 6 * * *", "root"),
        ("47 6 * * 7", "root"),
        ("52 6 1 * *", "root"),
    ]
    assert payload(imported.jobs[0]) == {
        "command": "cd / && run-parts --report /etc/cron.hourly",
        "env": {"PATH": "/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin"},
        "user": "root",
    }
    assert len({job.name for job in imported.jobs}) == 4


def test_a_users_crontab_with_everything_that_may_stand_in_one():
    imported = read("user.txt", CrontabFormat.USER)
    common = {"env": {"GREETING": "good morning"}, "shell": "/bin/bash"}
    assert [(job.schedule.expression, job.schedule.timezone, payload(job)) for job in imported.jobs] == [
        ("0 5 * * 1-5", "UTC", {"command": "/usr/local/bin/backup --all > /dev/null 2>&1", **common}),
        ("@daily", "UTC", {"command": "certbot renew -q", **common}),
        (
            "*/10 * * * MON",
            "UTC",
            {"command": 'mail -s "It\'s 10pm" joe', "stdin": "Joe,\n\nWhere are your kids?\n\n", **common},
        ),
        ("30 2 * * *", "UTC", {"command": "date +%F | tee /tmp/day", **common}),
        ("30 2 * * *", "Europe/Berlin", {"command": "date +%F | tee /tmp/day", **common}),
    ]


def test_what_no_job_can_be_made_of_is_refused_with_line_and_reason():
    imported = read("user.txt", CrontabFormat.USER)
    assert [(note.line, note.refused, note.text[:50]) for note in imported.notes] == [
        (2, False, "MAILTO is ignored: output is kept with each run in"),
        (8, True, "@reboot names no instant: a cluster does not boot;"),
        (13, True, imported.notes[2].text[:50]),
        (14, True, "'* * * *' has no five fields of time and a command"),
        (15, True, imported.notes[4].text[:50]),
        (16, True, "there is no command"),
    ]
    assert "61" in imported.notes[2].text
    assert re.search("30 2|February|no instant", imported.notes[4].text)


def test_jobs_have_overlap_protection_and_retries():
    for job in read("user.txt", CrontabFormat.USER).jobs:
        assert job.overlap is Overlap.SKIP
        assert job.tasks[0].handler == "shell"
        assert job.tasks[0].options.retry.max_retries == 3


def test_the_same_text_gives_the_same_jobs_and_a_new_time_only_a_new_version():
    first, second = read("user.txt", CrontabFormat.USER).jobs, read("user.txt", CrontabFormat.USER).jobs
    assert [fingerprint(job) for job in first] == [fingerprint(job) for job in second]
    (old,) = read_crontab("5 0 * * * backup", "tab", CrontabFormat.USER).jobs
    (new,) = read_crontab("7 1 * * * backup", "tab", CrontabFormat.USER).jobs
    assert old.name == new.name
    assert fingerprint(old) != fingerprint(new)


def test_the_same_command_twice_is_two_jobs():
    names = [job.name for job in read_crontab("5 0 * * * backup\n5 12 * * * backup", "tab", CrontabFormat.USER).jobs]
    assert names == [names[0], f"{names[0]}-2"]


def test_times_mean_what_the_caller_says_unless_the_file_does():
    (job,) = read_crontab("5 0 * * * backup", "tab", CrontabFormat.USER, timezone="Asia/Tokyo").jobs
    assert job.schedule.timezone == "Asia/Tokyo"


def test_an_unknown_zone_is_refused_with_the_line_that_needs_it():
    imported = read_crontab("CRON_TZ=Mars/Base\n5 0 * * * backup", "tab", CrontabFormat.USER)
    assert imported.jobs == []
    assert imported.notes[0].line == 2
    assert "Mars/Base" in imported.notes[0].text


def test_a_line_of_a_users_crontab_read_as_the_systems_says_how_to_read_it():
    (note,) = read_crontab("5 0 * * * backup", "tab", CrontabFormat.SYSTEM).notes
    assert note.text == "'backup' has no user and command; a user's crontab is imported with --user"


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("echo hi", "echo hi", ""),
        ("cat%a", "cat", "a\n"),
        ("cat%a%b", "cat", "a\nb\n"),
        ("cat%", "cat", "\n"),
        (r"date +\%F", "date +%F", ""),
        (r"cat%50\%%x", "cat", "50%\nx\n"),
    ],
)
def test_percent_signs_end_the_command_and_break_lines(text, command, stdin):
    assert split_command(text) == (command, stdin)


@pytest.mark.parametrize(
    ("path", "form", "name"),
    [
        ("/etc/crontab", CrontabFormat.SYSTEM, "crontab"),
        ("/etc/cron.d/e2scrub_all", CrontabFormat.SYSTEM, "e2scrub_all"),
        ("/home/ada/my tab.txt", CrontabFormat.USER, "my-tab-txt"),
        ("/var/spool/cron/crontabs/root", CrontabFormat.USER, "root"),
    ],
)
def test_what_a_file_is_shows_where_it_stands(path, form, name):
    assert (guess_format(path), source_name(path)) == (form, name)
