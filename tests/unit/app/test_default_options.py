"""Options of all tasks that the environment sets, where the app sets none."""

import pytest

import jobistemer
from jobistemer import Jobistemer, Misconfigured, Options


@pytest.mark.parametrize(
    ("variable", "text", "option", "value"),
    [
        ("TIMEOUT", "90", "timeout_s", 90),
        ("RETENTION", "3600", "retention_s", 3600),
        ("DEAD_RETENTION", "7200.5", "dead_retention_s", 7200.5),
        ("DEAD_LETTERS", "No", "dead_letters", False),
        ("DEAD_LETTERS", "true", "dead_letters", True),
    ],
)
def test_the_environment_sets_an_option_of_all_tasks(monkeypatch, variable, text, option, value):
    monkeypatch.setenv(f"JOBISTEMER_DEFAULT_{variable}", text)
    app = Jobistemer("fake://defaults")
    app.task(name="greet")(lambda: None)
    assert app.effective_options("greet")[option].value == value


def test_a_number_of_retries_changes_the_default_policy(monkeypatch):
    monkeypatch.setenv("JOBISTEMER_DEFAULT_MAX_RETRIES", "7")
    app = Jobistemer("fake://defaults")
    app.task(name="greet")(lambda: None)
    assert app.effective_options("greet")["retry"].value.max_retries == 7


def test_what_the_app_sets_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("JOBISTEMER_DEFAULT_TIMEOUT", "90")
    monkeypatch.setenv("JOBISTEMER_DEFAULT_RETENTION", "60")
    app = Jobistemer("fake://defaults", defaults=Options(timeout_s=5))
    assert (app.defaults.timeout_s, app.defaults.retention_s) == (5, 60)


@pytest.mark.parametrize(
    ("variable", "text"),
    [("TIMEOUT", "soon"), ("TIMEOUT", "0"), ("MAX_RETRIES", "1.5"), ("MAX_RETRIES", "-1"), ("DEAD_LETTERS", "perhaps")],
)
def test_a_value_that_cannot_be_is_refused_with_the_name_of_its_variable(monkeypatch, variable, text):
    monkeypatch.setenv(f"JOBISTEMER_DEFAULT_{variable}", text)
    with pytest.raises(Misconfigured, match=f"JOBISTEMER_DEFAULT_{variable} is '{text}'"):
        Jobistemer("fake://defaults")


@pytest.mark.parametrize("name", ["Health", "Running", "Stats"])
def test_what_an_app_returns_is_imported_from_the_package(name):
    assert getattr(jobistemer, name).__name__ == name
