"""The pytest plugin in suites of its users: pytest finds it without an import in a conftest."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Kept by the sessions inside of the tests, which would import them anew.
import jobistemer.testing.plugin_app  # noqa: F401

pytest_plugins = ["pytester"]

APP = """
    from datetime import datetime
    from jobistemer import Jobistemer, NO_RETRIES

    app = Jobistemer("redis://127.0.0.1:1/0", namespace="shop")

    @app.task(retry=NO_RETRIES)
    def send_email(to: str, subject: str = "hello") -> str:
        if "@" not in to:
            raise ValueError(f"no address: {to}")
        return f"sent {subject!r} to {to}"

    @app.job("0 2 * * *")
    def nightly() -> None:
        send_email.enqueue("boss@example.org", subject=f"{datetime.now():%d %B}")
"""
INI = """
    [pytest]
    jobistemer_app = shop:app
    jobistemer_now = 2027-01-15T08:00:00Z
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """A suite with an app; `suite(tests)` runs it."""
    for name in ("JOBISTEMER_APP", "JOBISTEMER_URL", "JOBISTEMER_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(shop=APP)
    pytester.makeini(INI)

    def run(tests, *arguments):
        pytester.makepyfile(test_shop=tests)
        # Half of the time of each session goes into loading that one anew.
        return pytester.runpytest("-p", "no:hypothesispytest", *arguments)

    return run


def test_a_suite_gets_its_app_by_the_ini_file_and_each_test_a_server_of_its_own(suite):
    result = suite("""
        from shop import app, nightly, send_email

        def test_what_happens_at_night(jobs):
            assert jobs.now.isoformat() == "2027-01-15T08:00:00+00:00"
            jobs.advance(days=1)
            jobs.assert_occurred(nightly, at="2027-01-16T02:00:00Z")
            jobs.assert_enqueued(send_email, to="boss@example.org", subject="16 January")

        def test_that_nothing_of_it_is_left(jobs):
            assert jobs.app is app
            jobs.refute_enqueued()
            assert send_email.enqueue("a@b").result() == "sent 'hello' to a@b"
    """)
    result.assert_outcomes(passed=2)


def test_an_assertion_that_fails_tells_what_was_there_instead(suite):
    result = suite("""
        from shop import nightly, send_email

        def test_enqueued(jobs):
            send_email.enqueue("ann@example.org")
            send_email.options(delay=60, queue="mail").enqueue("bob@example.org", "hi")
            jobs.assert_enqueued(send_email, to="bob@example.org", subject="hello")

        def test_nothing_enqueued(jobs):
            jobs.assert_enqueued(send_email)

        def test_refuted(jobs):
            send_email.enqueue("ann@example.org")
            jobs.refute_enqueued(send_email, to="ann@example.org")

        def test_occurred(jobs):
            jobs.advance(days=2)
            jobs.assert_occurred(nightly, at="2027-01-16T03:00:00Z")

        def test_not_yet(jobs):
            jobs.advance(hours=1)
            jobs.assert_occurred(nightly)

        def test_not_begun(jobs):
            jobs.assert_occurred(nightly, outcome="failed")

        def test_refuted_occurrence(jobs):
            jobs.advance(days=1)
            jobs.refute_occurred(nightly)
    """)
    result.assert_outcomes(failed=7)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: no call send_email(to='bob@example.org', subject='hello') was enqueued; those of send_email:",
            "E*send_email(to='ann@example.org', subject='hello') in queue default, pending   <- to is 'ann@example.org'",
            "E*send_email(to='bob@example.org', subject='hi') in queue mail, scheduled for 2027-01-15T08:01:00Z   <- subject is 'hi'",
            "E*AssertionError: no call of send_email was enqueued, nor any other call",
            "E*AssertionError: no call of send_email(to='ann@example.org') was to be enqueued, but there is:",
            "E*send_email(to='ann@example.org', subject='hello') in queue default, pending",
            "E*AssertionError: no occurrence of nightly is completed at 2027-01-16T03:00:00Z; what it has is:",
            "E*2027-01-16T02:00:00Z completed: fired on time",
            "E*2027-01-17T02:00:00Z completed: fired on time",
            "E*AssertionError: no occurrence of nightly is completed; it has none; the next is due at 2027-01-16T02:00:00Z",
            "E*AssertionError: no occurrence of nightly is failed; it is not deployed: jobs.advance(…) does that*",
            "E*AssertionError: no occurrence of nightly was to be one that is completed, but there is:",
            "E*2027-01-16T02:00:00Z completed: fired on time",
        ]
    )
    # The trace ends in the test, not in the kit.
    result.stdout.no_fnmatch_line("*jobistemer/testing/*")


def test_a_name_that_is_a_slip_of_the_pen_is_told_whatever_is_asserted(suite):
    result = suite("""
        def test_task(jobs):
            jobs.refute_enqueued("send_emial")

        def test_parameter(jobs):
            jobs.refute_enqueued("send_email", adress="x")

        def test_job(jobs):
            jobs.refute_occurred("nighly")

        def test_outcome(jobs):
            jobs.refute_occurred("nightly", outcome="complete")
    """)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "E*UnknownTask: this app has no task 'send_emial'; did you mean 'send_email'?",
            "E*InvalidInput: task 'send_email' has no parameter 'adress'; there are subject, to",
            "E*UnknownJob: this app has no job 'nighly'; did you mean 'nightly'?",
            "E*InvalidInput: outcome is 'complete'; did you mean 'completed' or 'compressed'?",
        ]
    )


def test_the_error_of_a_handler_is_shown_with_its_own_trace(suite):
    result = suite("""
        from shop import send_email

        def test_broken(jobs):
            send_email.enqueue("nowhere")
            jobs.run_until_idle()
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*raise ValueError(f"no address: {to}")',
            "E*ValueError: no address: nowhere",
            "*shop.py:*: ValueError",
            "The above exception was the direct cause of the following exception:",
            ">*jobs.run_until_idle()",
            "E*HandlerFailed: send_email(to='nowhere', subject='hello') failed: ValueError: no address: nowhere",
            "E*attempt 1 of run_*, at 2027-01-15T08:00:00Z; the run is dead",
        ]
    )
    result.stdout.no_fnmatch_line("*jobistemer/testing/*")


def test_an_app_that_is_made_by_a_factory_is_given_by_a_fixture(suite):
    result = suite("""
        import pytest
        from jobistemer import Jobistemer

        @pytest.fixture
        def jobistemer_app():
            app = Jobistemer()
            app.task(lambda: 7, name="seven")
            return app

        def test_of_it(jobs):
            assert jobs.perform("seven") == 7
    """)
    result.assert_outcomes(passed=1)


def test_a_suite_without_an_app_is_told_where_one_could_be(suite, pytester):
    pytester.makeini("[pytest]")
    result = suite("def test_anything(jobs): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["no app is given: *", "*the ini option jobistemer_app*a fixture jobistemer_app*"])


def test_the_app_of_the_project_file_is_found_as_the_commands_find_it(suite, pytester):
    pytester.makeini("[pytest]")
    pytester.makepyprojecttoml('[tool.jobistemer]\napp = "shop:app"')
    suite("def test_it(jobs): assert jobs.app.namespace.name == 'shop'").assert_outcomes(passed=1)


def test_what_is_not_installed_is_told_when_the_fixture_is_used_and_not_before(suite, monkeypatch):
    import pytest_jobistemer

    monkeypatch.setattr(pytest_jobistemer, "REQUIRED_MODULES", ("fakeredis", "no_such_module"))
    result = suite("""
        def test_without(): ...
        def test_with(jobs): ...
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the fixture `jobs` needs no_such_module: pip install 'jobistemer?testing?'"])


def test_tests_in_parallel_processes_do_not_meet(suite):
    result = suite(
        """
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_alone(jobs, number):
            jobs.app.enqueue("send_email", {"to": f"{number}@example.org"})
            assert jobs.run_until_idle() == 1
    """,
        "-n2",
    )
    result.assert_outcomes(passed=8)


def test_loading_the_plugin_imports_nothing_of_the_package():
    # What every suite pays on a machine where Jobistemer is installed.
    told = "import pytest_jobistemer, sys; print([each for each in sys.modules if each.split('.')[0] in {names}])"
    names = ("jobistemer", "redis", "fakeredis", "msgspec", "time_machine")
    done = subprocess.run(
        [sys.executable, "-c", told.format(names=names)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_importing_the_package_imports_nothing_that_only_tests_need():
    told = "import jobistemer, sys; print([each for each in {names} if each in sys.modules])"
    names = ("pytest", "fakeredis", "lupa", "time_machine", "jobistemer.testing")
    done = subprocess.run(
        [sys.executable, "-c", told.format(names=names)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
