"""Whose logging it is: the application's where it has set one up, this package's where it has not."""

from __future__ import annotations

import subprocess
import sys

import pytest

CONFIG = """
import logging, logging.config, sys
logging.getLogger("jobistemer.worker")
logging.config.dictConfig({"version": 1, "disable_existing_loggers": True,
    "formatters": {"own": {"format": "own %(levelname)s %(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "own"}}, "root": {"handlers": ["h"]}})
"""
BASIC = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="own %(levelname)s %(message)s")
"""
SET_UP = """
import logging
from jobistemer.runtime.logging import TextFormatter, log_failure, set_up_logging
set_up_logging("info", TextFormatter())
logging.getLogger("jobistemer.worker").info("started")
logging.getLogger("shop").warning("hello")
"""


def logged(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("config", [CONFIG, BASIC], ids=["dictConfig", "basicConfig"])
def test_the_handlers_of_the_application_stay_and_get_our_lines_too(config):
    assert logged(config + SET_UP) == (["own INFO started", "own WARNING hello"], [])


def test_without_handlers_of_the_application_everything_goes_to_standard_error():
    printed, shown = logged(SET_UP)
    assert printed == []
    assert [line.partition(" ")[2] for line in shown] == ["info     started", "warning  hello"]


def test_a_level_that_the_application_has_set_for_us_stays():
    quiet = CONFIG + "logging.getLogger('jobistemer').setLevel('ERROR')\n"
    assert logged(quiet + SET_UP) == (["own WARNING hello"], [])


@pytest.mark.parametrize("shown", [True, False])
def test_a_failure_is_an_error_with_its_trace_unless_the_process_logs_none(shown):
    fail = f"""
from jobistemer.runtime.logging import RunTracebacks
RunTracebacks.logged = {shown}
log_failure(logging.getLogger("jobistemer.worker"), "run_1 failed", "Traceback (most recent call last):\\nValueError: no", dict(run="run_1"))
"""
    trace = ["Traceback (most recent call last):", "ValueError: no"] if shown else []
    assert logged(CONFIG + SET_UP + fail)[0][2:] == ["own ERROR run_1 failed", *trace]
    assert [line.strip() for line in logged(SET_UP + fail)[1][3:]] == trace
