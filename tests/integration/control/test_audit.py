"""Delete one row by hand and it is named; leave everything alone and nothing is."""

from __future__ import annotations

import pytest

from jobistemer.control.audit import audit_jobs
from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.planning.audit import AuditFault
from jobistemer.core.schedules import Cron
from tests.support.audit import audit_all
from tests.support.clocks import NOW
from tests.support.step_system import StepWorker, build_ticker, open_app, read_occurrences

START = NOW // 1000
MINUTE = 60


def report(expression="* * * * *", **changes):
    return Job(**{"name": "report", "schedule": Cron(expression), "tasks": (Task("report", "report"),), **changes})


@pytest.fixture
def app(server_url, database, clock):
    app = open_app(server_url, clock)
    app.task(lambda: None, name="report")
    app.control.register(report())
    return app


@pytest.fixture
def story(app, database, clock):
    """Five minutes with everything that may happen to a job."""
    ticking, worker = build_ticker(database), StepWorker(database, app)
    for step in range(5):
        clock.advance(MINUTE)
        ticking.tick()
        worker.work()
        if step == 1:
            app.control.pause("report")
        if step == 2:
            app.control.resume("report")
            app.control.register(report("30 * * * * *"))
            app.control.trigger("report")
    return app


def test_a_job_that_was_paused_changed_and_triggered_is_accounted_for(story):
    (found,) = audit_all(story.namespace)
    assert (found.job, found.expected) == ("report", 5)


@pytest.mark.parametrize("number", range(5))
def test_a_row_that_is_deleted_by_hand_is_named(story, database, number):
    keys, job = database.keys, report().id
    due = [each.due for each in read_occurrences(database, report()) if not each.origin]
    occurrence = ids.occurrence_id(job, due[number])
    database.client.delete(keys.occurrence(occurrence))
    (found,) = audit_jobs(story.namespace)
    assert [(each.due, each.fault) for each in found.findings] == [(due[number], AuditFault.HOLE)]


def test_a_row_that_only_leaves_the_history_is_named_too(story, database):
    keys, job = database.keys, report().id
    first = ids.occurrence_id(job, START + MINUTE)
    database.client.zrem(keys.history(job), first)
    (found,) = audit_jobs(story.namespace, "report")
    assert [each.text for each in found.findings] == [f"was decided under version 1, and {first} is not in the history"]


def test_a_job_that_was_removed_can_still_be_audited(story):
    story.control.remove("report")
    assert audit_jobs(story.namespace) == []
    assert audit_jobs(story.namespace, "report")[0].findings == ()


def test_a_row_that_nobody_accounts_for_is_named(story, database):
    keys, job = database.keys, report().id
    database.client.hset(keys.occurrence("occ_odd"), mapping={"due": START + 17, "state": "completed"})
    database.client.zadd(keys.history(job), {"occ_odd": START + 17})
    (found,) = audit_jobs(story.namespace)
    assert [(each.due - START, each.fault) for each in found.findings] == [(17, AuditFault.STRANGER)]


def test_while_no_ticker_runs_what_is_past_its_grace_is_a_hole(app, clock):
    clock.advance(3 * MINUTE)
    (found,) = audit_jobs(app.namespace)
    assert [(each.due - START) / MINUTE for each in found.findings] == [1]
    assert "no ticker has decided it" in found.findings[0].text
