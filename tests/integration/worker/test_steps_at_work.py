"""Durable handlers on real workers that are killed and restarted; a ledger outside of the server tells what was done."""

from collections import Counter
from contextlib import ExitStack

import pytest

from jobistemer import Jobistemer
from jobistemer.core.states import RunState
from tests.integration.worker.steps_app import SHARES, STEPS
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import WorkerProcess, running_worker, wait_until

pytestmark = pytest.mark.process

APP = "tests.integration.worker.steps_app:app"
WITHIN = [f"after the effect of {number}" for number in range(STEPS)]
POINTS = [
    *(f"between, before {number}" for number in range(STEPS)),
    *(f"before the effect of {number}" for number in range(STEPS)),
    *WITHIN,
    "at the end",
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(VALKEY, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def app(url):
    with Jobistemer(url) as app:
        yield app


def start(stack, url, log, *arguments) -> WorkerProcess:
    worker = stack.enter_context(running_worker(url, log, APP, *arguments))
    worker.says(" started: ")
    return worker


def ledger(folder):
    path = folder / "ledger"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


@pytest.mark.slow
def test_at_every_kill_point_each_effect_is_there_once_unless_the_kill_fell_within_its_step(app, url, tmp_path):
    """I4, I5: the worker of each run is killed once, at another point of its handler; others go on with its runs."""
    lease = ("--lease", "1", "-c", "8")
    folders = {point: tmp_path / point for point in POINTS}
    queues = {point: f"q{number}" for number, point in enumerate(POINTS)}
    with ExitStack() as stack:
        stack.enter_context(app.running(ticker=True))
        # A worker for each run: one that is killed takes the runs of its neighbours with it, which are crashes of theirs.
        victims = [
            running_worker(url, tmp_path / f"{queue}.log", APP, "-Q", queue, *lease) for queue in queues.values()
        ]
        victims = [stack.enter_context(each) for each in victims]
        runs = {}
        for point, folder in folders.items():
            folder.mkdir()
            (folder / "point").write_text(point)
            runs[point] = app.enqueue("walk", {"folder": str(folder)}, queue=queues[point])
        for victim in victims:
            assert victim.process.wait(60) == -9
        stack.enter_context(running_worker(url, tmp_path / "heir.log", APP, "-Q", ",".join(queues.values()), *lease))
        for point, run in runs.items():
            assert run.result(timeout=60) == [f"done {each}" for each in range(STEPS)], point
    for point, folder in folders.items():
        expected = Counter(f"step {each}" for each in range(STEPS))
        if point in WITHIN:
            expected[f"step {WITHIN.index(point)}"] += 1
        assert ledger(folder) == expected, point
        assert runs[point].record().crashes == 1


@pytest.mark.slow
@pytest.mark.parametrize("task", ["long", "along"])
def test_a_storm_of_restarts_repeats_no_step_and_uses_up_no_attempt(app, url, tmp_path, task):
    """Each worker is asked to end as soon as it has done something, again and again, until all runs have succeeded."""
    names = [f"run{number}" for number in range(4)]
    runs = [app.enqueue(task, {"folder": str(tmp_path), "name": name}) for name in names]
    restarts = 0
    with ExitStack() as stack:
        while not all(run.state() is RunState.SUCCEEDED for run in runs):
            before = sum(ledger(tmp_path).values())
            worker = start(stack, url, tmp_path / f"worker{restarts}.log", "-c", "4")
            wait_until(
                lambda before=before: sum(ledger(tmp_path).values()) >= min(before + 6, len(names) * SHARES),
                "some steps were done",
            )
            assert worker.end() == 0
            restarts += 1
    assert restarts >= 3
    assert ledger(tmp_path) == Counter(f"{name} {number} began" for name in names for number in range(SHARES))
    for run in runs:
        record = run.record()
        assert (run.result(timeout=60), record.attempt, record.crashes) == (0, 0, 0)
    assert sum(run.record().interruptions for run in runs) >= restarts - 1
