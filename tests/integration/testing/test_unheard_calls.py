"""What scripts enqueue is seen by the assertions of a test as well as what code enqueues; an outage is made up for."""

from collections import Counter
from datetime import timedelta

import pytest

from jobistemer import NO_RETRIES, Context, DeadLetter


@pytest.mark.parametrize("runs_them", [False, True])
def test_children_of_a_map_are_calls(app, jobs, runs_them):
    @app.task
    def child(n: int) -> None: ...

    @app.task
    def parent(context: Context) -> None:
        context.map(child, [1, 2])

    if runs_them:
        parent.enqueue()
        jobs.run_until_idle()
    else:
        jobs.perform(parent)
    assert sorted(each.arguments["n"] for each in jobs.enqueued(child)) == [1, 2]
    jobs.assert_enqueued(child, n=2)


def test_the_letter_of_a_death_is_a_call(app, jobs):
    @app.task
    def alert(letter: DeadLetter) -> None: ...

    @app.task(retry=NO_RETRIES, on_dead="alert")
    def broken() -> None:
        raise ValueError("no")

    broken.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    assert jobs.assert_enqueued(alert).arguments["letter"].handler == "broken"


def test_runs_of_a_job_are_no_calls(app, jobs):
    @app.job("* * * * *", name="minutely")
    def minutely() -> None: ...

    jobs.advance(minutes=2)
    jobs.refute_enqueued()


@pytest.mark.parametrize(
    ("recovery", "expected"),
    [
        ("execute_all", {"completed": 120}),
        ("mark_as_missed", {"missed": 120}),
        ("execute_last", {"missed": 119, "completed": 1}),
    ],
)
def test_after_an_outage_all_that_was_due_is_decided(app, jobs, recovery, expected):
    app.job("* * * * *", name="minutely", recovery=recovery, grace_s=1)(lambda: None)
    jobs.advance(until=(jobs.now + timedelta(minutes=2)).replace(second=30, microsecond=0))
    before = len(jobs.occurrences("minutely"))
    jobs.outage(hours=2)
    jobs.run_until_idle()
    assert Counter(each.state for each in jobs.occurrences("minutely")[before:]) == expected
