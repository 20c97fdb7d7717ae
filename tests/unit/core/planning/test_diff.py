from datetime import timedelta

import msgspec
import pytest

from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.jobs.options import Options
from jobistemer.core.planning import diff
from jobistemer.core.planning.diff import FieldChange, FireTimeChanges, InstantBudget, diff_fields, diff_fire_times
from jobistemer.core.schedules import Cron, Custom, register_schedule

T0 = 1_800_000_000

JOB = Job(
    "report",
    Cron("0 3 * * *", timezone="Europe/Berlin"),
    (
        Task("load", "report.load", payload=msgspec.Raw(b'{"pages":{"first":1},"note":null}')),
        Task("send", "report.send", after=("load",), options=Options(queue="mail", retry=3)),
    ),
    max_queued=7,
    on_complete=Task("done", "report.done"),
)
GIVEN = {
    "name": "report",
    "schedule.kind": "cron",
    "schedule.expression": "0 3 * * *",
    "schedule.timezone": "Europe/Berlin",
    "max_queued": 7,
    "on_complete.name": "done",
    "on_complete.handler": "report.done",
    "tasks.load.handler": "report.load",
    "tasks.load.payload": {"pages": {"first": 1}, "note": None},
    "tasks.send.handler": "report.send",
    "tasks.send.after": ["load"],
    "tasks.send.options.queue": "mail",
    "tasks.send.options.retry.kind": "exponential",
}


def test_of_a_new_job_the_fields_are_those_that_it_gives():
    assert diff_fields(None, JOB) == tuple(FieldChange(path, None, value) for path, value in GIVEN.items())


def test_of_a_job_that_goes_the_fields_are_those_that_it_gave():
    assert diff_fields(JOB, None) == tuple(FieldChange(path, value, None) for path, value in GIVEN.items())


def test_of_no_job_at_all_no_field_differs():
    assert diff_fields(None, None) == ()


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("overlap", {"overlap": "allow"}),
        ("grace_s", {"grace_s": 5.0}),
        ("schedule.jitter", {"schedule": Cron("0 3 * * *", timezone="Europe/Berlin", jitter=5)}),
        ("tasks.load.payload", {"tasks": (Task("load", "report.load"), JOB.tasks[1])}),
    ],
)
def test_between_two_versions_a_field_that_one_of_them_leaves_out_has_its_default(field, changes):
    other = msgspec.structs.replace(JOB, **changes)
    assert [(each.field, each.old is None, each.new is None) for each in diff_fields(other, JOB)] == [
        (field, False, False)
    ]


def test_a_plan_that_has_no_instants_left_to_compare_computes_none(monkeypatch):
    budget = InstantBudget(0)
    monkeypatch.setattr(diff, "_collect_fire_times", pytest.fail)
    found = diff_fire_times(None, JOB, 1_800_000_000, budget)
    assert (found.appear, found.vanish, found.until - found.start) == (0, 0, 0)


@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("order", [1, -1])
def test_fire_times_are_compared_as_far_as_a_custom_schedule_can_be_computed_here(known, order):
    class Fails:
        def between(self, start, _end):
            yield from (start + timedelta(hours=hour) for hour in range(1, known + 1))
            raise ValueError("the table of holidays ends here")

    register_schedule("fails", lambda _options: Fails())
    hourly = msgspec.structs.replace(JOB, schedule=Cron("0 * * * *"))
    both = (hourly, msgspec.structs.replace(JOB, schedule=Custom("fails")))[::order]
    assert diff_fire_times(*both, T0) == FireTimeChanges(T0, T0 + known * 3600)
