import pytest

from jobistemer.core.errors import InvalidDefinition, InvalidName
from jobistemer.core.jobs.options import (
    DEFAULTS,
    CompleteOptions,
    EffectiveOption,
    Options,
    complete_options,
    merge_options,
    resolve_options,
)
from jobistemer.core.jobs.retries import NO_RETRIES

APP, JOB, TASK = Options(queue="slow", timeout_s=60), Options(queue="etl", priority=0), Options(retry=NO_RETRIES)


@pytest.mark.parametrize(
    ("levels", "options"),
    [
        ([], Options()),
        ([APP], APP),
        ([APP, JOB], Options(queue="etl", priority=0, timeout_s=60)),
        ([JOB, APP], Options(queue="slow", priority=0, timeout_s=60)),
        ([APP, Options(), TASK], Options(queue="slow", timeout_s=60, retry=NO_RETRIES)),
    ],
)
def test_the_last_level_that_says_something_wins(levels, options):
    assert merge_options(*levels) == options


def test_what_no_level_says_is_the_default():
    assert complete_options() == DEFAULTS == CompleteOptions()
    assert complete_options(APP, JOB) == CompleteOptions(queue="etl", priority=0, timeout_s=60)


def test_each_effective_option_names_the_level_it_comes_from():
    found = resolve_options([("app", APP), ("job", JOB), ("task", TASK)])
    assert found == {
        "queue": EffectiveOption("etl", "job"),
        "priority": EffectiveOption(0, "job"),
        "timeout_s": EffectiveOption(60, "app"),
        "retry": EffectiveOption(NO_RETRIES, "task"),
        "retention_s": EffectiveOption(86_400.0, "default"),
        "executor": EffectiveOption("auto", "default"),
        "max_crashes": EffectiveOption(3, "default"),
        "on_dead": EffectiveOption("", "default"),
        "limits": EffectiveOption((), "default"),
        "dead_retention_s": EffectiveOption(604_800.0, "default"),
        "dead_letters": EffectiveOption(True, "default"),
    }


@pytest.mark.parametrize(
    "options", [{"priority": 0}, {"priority": 9}, {"timeout_s": 0.001}, {"retention_s": 1}, {"queue": "a/b"}]
)
def test_the_ends_of_each_range_are_allowed(options):
    assert complete_options(Options(**options)) != DEFAULTS


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"priority": 10}, InvalidDefinition, "priority is 10"),
        ({"priority": -1}, InvalidDefinition, "priority is -1"),
        ({"priority": True}, InvalidDefinition, "priority is True"),
        ({"priority": 1.5}, InvalidDefinition, "whole numbers"),
        ({"timeout_s": 0}, InvalidDefinition, "timeout_s is 0"),
        ({"timeout_s": float("inf")}, InvalidDefinition, "timeout_s is inf"),
        ({"timeout_s": "60"}, InvalidDefinition, "timeout_s is '60'"),
        ({"retention_s": 0.5}, InvalidDefinition, "retention_s is 0.5"),
        ({"retry": "3"}, InvalidDefinition, "retry is '3', allowed are a number of retries, Exponential"),
        ({"retry": -1}, InvalidDefinition, "retry is -1, allowed are whole numbers from 0 to 1000"),
        ({"retry": True}, InvalidDefinition, "retry is True"),
        ({"on_dead": False}, InvalidName, "on_dead task name False"),
        ({"on_dead": ()}, InvalidName, r"on_dead task name \(\)"),
        ({"max_crashes": 10**5000}, InvalidDefinition, "max_crashes is <int that cannot be shown"),
        ({"queue": "a:b"}, InvalidName, "queue name 'a:b'"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_field_and_value(options, error, reason):
    with pytest.raises(error, match=reason):
        Options(**options)
