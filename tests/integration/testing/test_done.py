"""A handler ends its job: by an exception or a value, on record, until somebody resumes it."""

import pytest

from jobistemer import Done


def raise_done() -> None:
    raise Done("all imported")


def return_done() -> int | Done:
    return Done("all imported")


async def raise_done_async() -> None:
    raise Done("all imported")


@pytest.mark.parametrize("handler", [raise_done, return_done, raise_done_async])
def test_a_job_ends_itself_and_a_person_takes_it_back(app, jobs, handler):
    app.job("* * * * *", name="import")(handler)
    jobs.advance(minutes=3)
    states = [each.state for each in jobs.occurrences("import")]
    assert states.count("completed") == 1
    assert set(states) == {"completed", "skipped"}
    assert app.control.is_paused("import")
    assert [(each.what, each.by) for each in app.control.log("import")][0] == ("ended", "import")
    app.control.resume("import")
    jobs.advance(minutes=1)
    assert [each.state for each in jobs.occurrences("import")].count("completed") == 2


def test_the_run_of_a_call_that_is_done_has_succeeded(app, jobs):
    run = app.task(raise_done).enqueue()
    jobs.run_until_idle()
    assert run.state() == "succeeded"
