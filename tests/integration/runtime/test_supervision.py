"""Workers as supervised processes: each that dies is replaced, signals reach all of them, and all end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobistemer import Jobistemer
from jobistemer.core.states import RunState
from jobistemer.runtime.child_process import ChildProcess
from jobistemer.runtime.supervisor import FIRST_PAUSE_S, SupervisedProcess
from jobistemer.store.reads import queues
from tests.support.processes import Process, has_ended
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.process

APP = """
import os
import time
from pathlib import Path

from jobistemer import Jobistemer

app = Jobistemer()
kept = []


@app.task
def where() -> int:
    return os.getpid()


@app.task
def waits(file: str) -> int:
    while not Path(file).exists():
        time.sleep(0.02)
    return os.getpid()


@app.task
def hoards(mib: int) -> None:
    kept.append(b"x" * mib * 2**20)


@app.task
def version() -> int:
    return 1
"""
ROLE = ("-m", "jobistemer.cli.commands.worker")
Start = Callable[..., Process]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(VALKEY, tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture
def app(url: str, tmp_path: Path) -> Jobistemer:
    return Jobistemer(url, namespace=tmp_path.name)


@pytest.fixture
def start(url: str, app: Jobistemer, tmp_path: Path) -> Iterator[Start]:
    """`start("--processes", 2)` starts a worker of the app that stands in a file of its own."""
    (tmp_path / "supervised.py").write_text(APP)
    environment = {"JOBISTEMER_URL": url, "JOBISTEMER_NAMESPACE": app.namespace.name}
    with ExitStack() as stack:

        def started(*arguments: object, command: tuple[str, ...] = ROLE) -> Process:
            said = [str(each) for each in arguments]
            return stack.enter_context(Process(*said, folder=tmp_path, environment=environment, command=command))

        yield started


def workers(app: Jobistemer, count: int) -> dict[str, int]:
    """Wait until so many workers beat; their pids by id."""

    def found() -> dict[str, int]:
        return {each.id: each.pid for each in queues.list_workers(app.namespace.shards)}

    wait_until(lambda: len(found()) == count, f"{count} workers beat")
    return found()


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(app, start):
    with_two = start("supervised:app", "-c", 2, "--processes", 2, "--lease", 1)
    before = workers(app, 2)
    victim, other = before.values()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(set(workers_now(app)) - set(before)) == 1, "a new worker beats")
    now = set(workers_now(app).values())
    assert other in now
    with_two.send(signal.SIGTERM)
    assert with_two.ends() == 0
    assert "was killed by signal 9; a new one is started" in with_two.text
    assert all(has_ended(pid) for pid in now)


def workers_now(app: Jobistemer) -> dict[str, int]:
    return {each.id: each.pid for each in queues.list_workers(app.namespace.shards)}


def test_a_process_that_fails_again_and_again_is_started_after_growing_pauses():
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    supervised = SupervisedProcess("process 1", lambda: ChildProcess("process 1", command))
    supervised.start()
    pauses, seen = [], supervised.process
    for _ in range(2):
        assert wait_until(supervised.replace_if_ended, "its end is seen") == 3
        pauses.append(supervised._pause)
        # It is not started before its pause is over, and then it is another one.
        assert supervised.replace_if_ended() is None
        assert supervised.process is seen
        wait_until(
            lambda old=seen: supervised.replace_if_ended() is not None or supervised.process is not old,
            "another one is started",
        )
        seen = supervised.process
    assert pauses == [2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    seen.kill()


def test_sigterm_lets_all_workers_finish_their_runs(app, start, tmp_path):
    supervisor = start("supervised:app", "-c", 1, "--processes", 2)
    pids = workers(app, 2)
    runs = [app.enqueue("waits", {"file": str(tmp_path / "go")}) for _ in range(2)]
    for run in runs:
        wait_until(lambda each=run: each.state() is RunState.RUNNING, "it runs")
    supervisor.send(signal.SIGTERM)
    wait_until(lambda: all(each.quiet for each in queues.list_workers(app.namespace.shards)), "both have heard it")
    (tmp_path / "go").touch()
    assert supervisor.ends() == 0
    assert {run.result(timeout=60) for run in runs} == set(pids.values())
    assert all(has_ended(pid) for pid in pids.values())
    assert workers_now(app) == {}


@pytest.mark.parametrize(("processes", "second"), [(0, signal.SIGINT), (1, signal.SIGTERM)])
def test_a_second_signal_ends_all_workers_at_once(app, start, processes, second):
    worker = start("supervised:app", "-c", 1, "--processes", processes, "--grace", 80_000)
    pids = workers(app, 1)
    run = app.enqueue("waits", {"file": "/nowhere"})
    wait_until(lambda: run.state() is RunState.RUNNING, "it runs")
    worker.send(signal.SIGTERM)
    wait_until(lambda: all(each.quiet for each in queues.list_workers(app.namespace.shards)), "it has heard the first")
    worker.send(second)
    # Long before its grace period is over.
    assert worker.ends() == 0
    assert "gives back 1 runs that it could not finish" in worker.text
    assert all(has_ended(pid) for pid in pids.values())
    assert run.state() is RunState.PENDING


def test_sigtstp_stops_fetching_and_sigcont_starts_it_again(app, start):
    worker = start("supervised:app", "--processes", 2)
    workers(app, 2)
    assert app.enqueue("where").result(timeout=60)
    worker.send(signal.SIGTSTP)
    wait_until(lambda: all(each.quiet for each in queues.list_workers(app.namespace.shards)), "all are quiet")
    # A read that was under way may still take one.
    wait_until(lambda: not waits(app), "no read is under way")
    waiting = app.enqueue("where")
    assert waiting.state() is RunState.PENDING
    worker.send(signal.SIGCONT)
    assert waiting.result(timeout=60)
    worker.send(signal.SIGTERM)
    assert worker.ends() == 0


def waits(app: Jobistemer) -> bool:
    """Whether anybody's read waits at the server."""
    return any("b" in each["flags"] for each in app.namespace.shards[0].client.client_list())


@pytest.mark.slow
def test_a_change_of_the_code_is_run_by_fresh_processes(app, start, tmp_path):
    start("supervised:app", "--watch", "--processes", 2)
    before = workers(app, 2)
    assert app.enqueue("version").result(timeout=60) == 1
    (tmp_path / "supervised.py").write_text(APP.replace("return 1", "return 22"))
    wait_until(lambda: len(set(workers_now(app)) - set(before)) == 2, "two new workers beat")
    assert all(has_ended(pid) for pid in before.values())
    assert app.enqueue("version").result(timeout=60) == 22


@pytest.mark.slow
def test_a_worker_that_has_had_its_runs_makes_room_for_a_fresh_one(app, start):
    start("supervised:app", "-c", 1, "--processes", 1, "--max-runs", 1)
    pids = {app.enqueue("where").result(timeout=60)}

    def three_have_worked() -> bool:
        pids.add(app.enqueue("where").result(timeout=60))
        return len(pids) == 3

    # A worker looks at its count four times a second, and may do some more meanwhile.
    wait_until(three_have_worked, "two others have done the work")


@pytest.mark.slow
def test_a_worker_that_holds_too_much_memory_ends_in_order(app, start):
    worker = start("supervised:app", "--max-memory", 250)
    assert app.enqueue("hoards", {"mib": 300}).result(timeout=60) is None
    assert worker.ends() == 0
    assert "MiB, allowed are 250" in worker.text
    assert workers_now(app) == {}


def test_a_burst_ends_when_the_queues_are_empty(app, start):
    runs = app.enqueue_many(app.request("where") for _ in range(50))
    worker = start("supervised:app", "--processes", 2, "--burst")
    assert worker.ends() == 0
    assert {run.state() for run in runs} == {RunState.SUCCEEDED}
    assert workers_now(app) == {}


def test_a_ticker_leaves_in_order(app, start):
    ticker = start(command=("-m", "jobistemer.cli.commands.ticker"))
    wait_until(lambda: queues.list_tickers(app.namespace.shards), "it beats")
    ticker.send(signal.SIGTERM)
    assert ticker.ends() == 0
    assert queues.list_tickers(app.namespace.shards) == []
