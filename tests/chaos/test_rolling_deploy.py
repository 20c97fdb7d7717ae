"""Old and new processes side by side, each deploying what it declares: nothing is lost, fails or flips back.

With JOBISTEMER_TEST_OLD_COMMANDS, the `bin` folder of an environment that has an older wheel, the old release runs that wheel:

    python -m venv .old && .old/bin/pip install dist/jobistemer-0.1.0-py3-none-any.whl
    JOBISTEMER_TEST_OLD_COMMANDS=$PWD/.old/bin .venv/bin/pytest tests/chaos/test_rolling_deploy.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobistemer.control.jobs import JobControl
from jobistemer.core import ids
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.store.calls import jobs
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import records
from jobistemer.store.reads.jobs import list_job_changes
from tests.chaos.system import ChaosSystem, at_rest, running_system, wait_until
from tests.support.shard_state import find_leaks
from tests.support.step_system import read_occurrences

pytestmark = [pytest.mark.process, pytest.mark.slow]
OLD_COMMANDS = os.environ.get("JOBISTEMER_TEST_OLD_COMMANDS")


def release(story: ChaosSystem, which: str) -> ChaosSystem:
    """What is started from now on is of this release."""
    story.environment["JOBISTEMER_RELEASE"] = which
    story.use_commands_of(Path(OLD_COMMANDS) if which == "old" and OLD_COMMANDS else None)
    return story


def occurrences(database: Database, name: str) -> list[OccurrenceRecord]:
    stored = jobs.find_job(database, name)
    return read_occurrences(database, stored.job) if stored else []


def runs(database: Database, found: list[OccurrenceRecord]) -> list[str]:
    """The runs of occurrences, by the version that each is pinned to."""
    pinned = [(each, jobs.find_version(database, each.job, each.version)) for each in found]
    return [ids.run_id(each.id, ids.task_id(each.job, task.name)) for each, job in pinned if job for task in job.tasks]


def completed(database: Database, version: int) -> int:
    found = occurrences(database, "steady")
    return sum(each.version == version and each.state == "completed" for each in found)


def test_old_and_new_processes_side_by_side_lose_and_fail_nothing_and_flip_no_version(tmp_path):
    with running_system(tmp_path) as story:
        # Given the old release at work
        story.app, database = "tests.chaos.rolling:app", story.database()
        release(story, "old").deploy()
        tickers, old = [story.ticker(), story.ticker()], [story.worker(), story.worker()]
        wait_until("the old release is at work", lambda: completed(database, 1) >= 2)

        # When the new one is rolled out beside it, and old processes start once more meanwhile
        release(story, "new").deploy()
        release(story, "old").start_and_deploy()
        new = [release(story, "new").worker()]
        wait_until("the new release is at work beside the old one", lambda: completed(database, 2) >= 1)
        old[0].terminate()
        release(story, "old").start_and_deploy()
        new.append(release(story, "new").worker())
        story.deploy()
        old[1].terminate()
        assert [each.wait() for each in old] == [0, 0]
        before = completed(database, 2)
        wait_until("the new release goes on alone", lambda: completed(database, 2) >= before + 2)

        # Then there were two versions, and each occurrence has completed under its own, each of its runs once
        control = JobControl(Namespace(story.server.url), "ana")
        for name in ("steady", "extra"):
            control.pause(name)
        wait_until("nothing waits or runs any more", lambda: at_rest(database))
        for each in [*tickers, *new]:
            each.terminate()
        assert [each.wait() for each in [*tickers, *new]] == [0] * 4
        found = occurrences(database, "steady") + occurrences(database, "extra")
        assert {each.state if each.reason != "paused by ana" else "" for each in found} <= {"completed", ""}
        ran = records.find_runs(database, runs(database, found))
        assert [each for each in ran if each.state != "succeeded" or each.attempt] == []
        assert sorted(each.run for each in story.effects()) == sorted(each.id for each in ran)
        told = [(each.what, each.note) for each in list_job_changes(database, ids.job_id("steady"), 100)]
        assert told == [("paused", ""), ("changed", "version 2"), ("created", "version 1")]
        assert find_leaks(database) == {}
        assert story.logged_faults() == []
