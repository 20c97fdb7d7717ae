"""Two real workers: what one of them cannot begin, the other one executes; shown by who executed which run."""

from collections import Counter
from contextlib import ExitStack

import pytest

from jobistemer import Jobistemer
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import running_worker, wait_until

pytestmark = pytest.mark.process

APP = "tests.integration.worker.parking_app:app"


@pytest.fixture
def url(tmp_path):
    with running(VALKEY, tmp_path) as url:
        yield url


@pytest.fixture
def app(url):
    with Jobistemer(url) as app:
        yield app


def start(stack, url, tmp_path, name, *arguments):
    worker = stack.enter_context(running_worker(url, tmp_path / f"{name}.log", APP, *arguments))
    worker.says(" started: ")
    return worker


def test_long_runs_after_many_short_ones_are_shared_by_all_free_slots(app, url, tmp_path):
    # Given two workers with four slots, which short runs have taught to fetch a thousand at a time
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    with ExitStack() as stack:
        workers = [start(stack, url, tmp_path, name, "-c", "4") for name in ("alice", "bob")]
        for run in app.enqueue_many(app.request("short") for _ in range(4_000)):
            run.result(timeout=60)

        # When eight runs come at once that end only when all of them run at the same time
        calls = [app.request("gather", {"folder": str(meeting), "number": n, "count": 8}) for n in range(8)]
        pids = Counter(run.result(timeout=60) for run in app.enqueue_many(calls))

        # Then each worker has begun four
        assert pids == {worker.pid: 4 for worker in workers}


def test_short_calls_pass_by_a_worker_whose_slots_are_all_busy(app, url, tmp_path):
    with ExitStack() as stack:
        # Given a worker whose three slots have long runs, after short ones
        busy = start(stack, url, tmp_path, "busy", "-c", "3")
        for _ in range(20):
            assert app.enqueue("short").result(timeout=60) == busy.pid
        release = tmp_path / "release"
        begun = [tmp_path / f"begun-{n}" for n in range(3)]
        held = [app.enqueue("hold", {"begun": str(each), "release": str(release)}) for each in begun]
        wait_until(lambda: all(each.exists() for each in begun), "all long runs have begun")

        # When another worker is there, and short calls come one by one
        idle = start(stack, url, tmp_path, "idle", "-c", "3")
        pids = [app.enqueue("short").result(timeout=60) for _ in range(8)]

        # Then it executes all of them, while the long ones are still running
        assert pids == [idle.pid] * 8
        release.touch()
        assert {run.result(timeout=60) for run in held} == {busy.pid}


def test_a_worker_executes_no_more_runs_than_it_was_told(app, url, tmp_path):
    with ExitStack() as stack:
        runs = app.enqueue_many(app.request("short") for _ in range(500))
        worker = stack.enter_context(running_worker(url, tmp_path / "few.log", APP, "-c", "4", "--max-runs", "20"))
        assert worker.process.wait(60) == 0
        assert Counter(str(run.state()) for run in runs) == {"succeeded": 20, "pending": 480}
