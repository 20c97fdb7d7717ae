"""`jobistemer bench` with real processes: its output, and the keys that it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from jobistemer.cli import main
from jobistemer.store.namespace import Namespace
from tests.support.processes import Process
from tests.support.servers import VALKEY, running

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(VALKEY, tmp_path_factory.mktemp("bench")) as started:
        yield started


def keys_in(url):
    return Namespace(url, "another").settings.ask("KEYS", "*")


@pytest.mark.slow
def test_it_measures_everything_and_leaves_nothing_behind(url, tmp_path):
    command = "from jobistemer.cli import main; main()"
    given = ["bench", "--url", url, "--seconds", "1", "--rate", "200", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", command, *given], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert [each["work"] for each in report["throughput"]] == [
        *("enqueue, one at a time", "enqueue, in bulk", "drain, plain", "drain, coroutine"),
    ]
    for each in report["throughput"]:
        assert each["runs"] > 0
        assert each["runs_per_s"] > 0
        assert each["unfinished"] == 0
        assert (each["worker_us"] or each["client_us"]) > 0
    # What a worker has done is what was enqueued: the one task that warms up a thousand, and what is counted.
    single, bulk, plain, _ = (each["runs"] for each in report["throughput"])
    assert plain == single + 1 + bulk + 1_000
    assert [(each["work"], each["seen"]) for each in report["delays"]] == [
        ("latency, idle", report["delays"][0]["expected"]),
        ("latency at 200 runs/s", report["delays"][1]["expected"]),
        ("100 jobs due every second", 200),
    ]
    assert keys_in(url) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing_behind(url, tmp_path, number):
    with Process("bench", "--url", url, "--seconds", "60", folder=tmp_path) as process:
        while not any(b":stream:" in key for key in keys_in(url)):
            assert os.waitid(os.P_PID, process._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        process.send(number)
        assert process.ends() == (130 if number is signal.SIGINT else 143)
    assert "Traceback" not in process.text
    assert keys_in(url) == []


def test_a_fake_server_is_refused_with_the_reason():
    result = CliRunner().invoke(main, ["bench", "--url", "fake://here"])
    assert result.exit_code == 1
    assert "a fake server exists in one process only" in result.stderr
