"""Calls of tasks are checked by mypy and by pyright: what fits is accepted with its type, what does not is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CALLS = HERE / "typed_calls.py"
REFUSED = {
    number for number, line in enumerate(CALLS.read_text().splitlines(), 1) if line.rstrip().endswith("# refused")
}


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def lines_refused_by_mypy():
    done = run(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file", "", str(CALLS))
    errors = [re.match(r"(.+?):(\d+): error", line) for line in done.stdout.splitlines()]
    return {int(match[2]) for match in errors if match and match[1].endswith(CALLS.name)}, done.stdout


def lines_refused_by_pyright():
    done = run(sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(CALLS))
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}, done.stdout


def test_there_is_something_to_refuse():
    assert len(REFUSED) == 32


def test_mypy_refuses_what_does_not_fit_and_nothing_else():
    refused, said = lines_refused_by_mypy()
    assert refused == REFUSED, said


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pyright_refuses_what_does_not_fit_and_nothing_else():
    assert shutil.which("pyright", path=str(Path(sys.executable).parent)), "pyright is part of the dev extra"
    refused, said = lines_refused_by_pyright()
    assert refused == REFUSED, said
