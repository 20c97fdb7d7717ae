"""A custom schedule fires with the shipped ticker, once that knows the code which computes it."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.processes import Process
from tests.support.servers import running, single

pytestmark = pytest.mark.process

APP = """
from datetime import timedelta
from jobistemer import Custom, Jobistemer, register_schedule

class Seconds:
    def next_after(self, at):
        return at.replace(microsecond=0) + timedelta(seconds=1)

    def previous_before(self, at):
        return (at - timedelta(microseconds=1)).replace(microsecond=0)

    def between(self, start, end):
        while (start := self.next_after(start)) <= end:
            yield start

register_schedule("seconds", lambda options: Seconds())
app = Jobistemer()

@app.job(Custom("seconds"), name="custom")
def custom() -> None:
    print("it has fired", flush=True)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(single()[0], tmp_path_factory.mktemp("custom")) as url:
        yield url


@pytest.mark.parametrize("named", [("ticked:app",), ("--import", "ticked")], ids=["app", "import"])
def test_a_ticker_that_imports_the_code_fires_a_custom_schedule(url, tmp_path, named):
    (tmp_path / "ticked.py").write_text(textwrap.dedent(APP))
    environment = {"JOBISTEMER_URL": url, "JOBISTEMER_NAMESPACE": "custom"}
    with Process("deploy", "ticked:app", folder=tmp_path, environment=environment) as deploy:
        assert deploy.ends() == 0, deploy.text
    ticker = ("-m", "jobistemer.cli.commands.ticker")
    worker = ("-m", "jobistemer.cli.commands.worker")
    with (
        Process(*named, folder=tmp_path, environment=environment, command=ticker),
        Process("ticked:app", folder=tmp_path, environment=environment, command=worker) as working,
    ):
        working.says("it has fired")


def test_a_module_that_is_not_there_ends_the_ticker_with_one_line(url, tmp_path):
    ticker = ("-m", "jobistemer.cli.commands.ticker")
    with Process("--import", "nosuch", folder=tmp_path, environment={"JOBISTEMER_URL": url}, command=ticker) as process:
        assert process.ends() == 1
        assert process.text.startswith("Error: module 'nosuch': importing nosuch failed: ModuleNotFoundError")
