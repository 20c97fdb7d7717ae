"""Each example by `jobistemer dev`, as its first lines say: it prints what it is about, and ends in order."""

from __future__ import annotations

import signal
from typing import Any, NamedTuple

import pytest

from jobistemer import Jobistemer
from tests.support.paths import ROOT
from tests.support.processes import Process

pytestmark = pytest.mark.process


class Example(NamedTuple):
    """What one example is asked, and a line of its output, empty where the result is looked at.

    call: a task and its payload; options of the call. trigger: a job whose time is not waited for. app: the name of the app in the module.
    """

    says: str
    call: tuple[str, dict[str, Any]] | None = None
    options: dict[str, Any] = {}
    trigger: str = ""
    app: str = "app"


# A call by name does not know the options of the task.
DEAD = {"on_dead": "tell", "retry": 0}
EXAMPLES = {
    "basic": Example(r"", ("greet", {"name": "Ann"})),
    "cron": Example(r"^\[worker 1\] \d\d:\d\d:\d[02468] pulse"),
    "crontab": Example(r"not allowed|refused|--allow-shell", ("shell", {"command": "true"})),
    "distributed": Example(r"^\[worker 1\] \d\d:\d\d:\d\d by \S+ process \d+"),
    "django": Example(r"^\[worker 1\] welcome, customer-\d{6}"),
    "etl": Example(r"nightly: completed, extract succeeded, load succeeded", trigger="nightly"),
    "middleware": Example(r"charge of request - was quick", ("charge", {"order": 7})),
    "onboarding": Example(r"^\[worker 1\] mail to ann", ("onboard", {"customer": "ann"})),
    "parallel": Example(r"430 primes, found by 3 runs", ("count_primes", {"below": 3_000})),
    "quickstart": Example(r"index of \S+ completed", trigger="index"),
    "recovery": Example(r"heartbeat of \S+ completed in"),
    "retries": Example(
        r"fetch .* has failed for good: ConnectionError", ("fetch", {"url": "https://a", "fails": 9}), DEAD
    ),
    "web": Example(r"", ("ship", {"order": {"customer": "Ann", "parcels": 1}}), app="jobs"),
}


def test_every_example_is_run():
    assert set(EXAMPLES) == {path.stem for path in (ROOT / "workers").glob("*.py")}


# Each starts a server and four processes; `make test` plays two of them.
FIRST = ("basic", "quickstart")


@pytest.mark.parametrize(
    "name", [name if name in FIRST else pytest.param(name, marks=pytest.mark.slow) for name in EXAMPLES]
)
def test_an_example_runs_with_a_server_of_its_own(name, tmp_path):
    example = EXAMPLES[name]
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.py").write_text("spam = 1\n")
    environment = {
        "PYTHONPATH": str(ROOT),
        "QUICKSTART_FOLDER": str(tmp_path / "tree"),
        "ONBOARDING_PAUSE_S": "0.1",
        "JOBISTEMER_URL": "redis://127.0.0.1:1/0",
    }
    arguments = ("dev", f"workers.{name}:{example.app}", "--dashboard-port", "0", "-c", "2", "--seconds", "300")
    with Process(*arguments, folder=tmp_path, environment=environment) as process:
        server = process.says(r"JOBISTEMER_URL=(\S+) jobistemer job list")[1]
        with Jobistemer(server) as jobs:
            if example.trigger:
                jobs.control.trigger(example.trigger)
            run = jobs.enqueue(*example.call, **example.options) if example.call is not None else None
            if example.says:
                process.says(example.says)
            else:
                process.says(r"^\[worker 1\] .* started")
                assert run.result(timeout=60) in ("Hello, Ann!", 3)
        process.send(signal.SIGINT)
        assert process.ends() == 0, process.text
    # A run that is dead on purpose is logged with its trace.
    assert ("Traceback" in process.text) == (name == "retries")
