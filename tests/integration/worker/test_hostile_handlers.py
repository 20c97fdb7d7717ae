"""The zoo: handlers that do what no handler should, in real workers on a real server.

Each time: the outcome on record is the truth, the slot survives or is replaced, the others go on, and what is beyond
help ends in the dead letters.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from jobistemer import Jobistemer
from jobistemer.core.errors import InvalidPayload, RunFailed
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.actions.dead_letters import find_dead
from jobistemer.store.reads import queues, records
from tests.integration.worker import hostile
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import WorkerProcess, is_running, running_worker, wait_until

pytestmark = pytest.mark.process

SLOTS = 4
APP = "tests.integration.worker.hostile:app"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(VALKEY, tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture(scope="module")
def app(url: str) -> Jobistemer:
    """The producer's side: it knows no handlers."""
    return Jobistemer(url, defaults=hostile.app.defaults)


@pytest.fixture(scope="module")
def worker(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """The one worker that has to survive all of them."""
    log = tmp_path_factory.mktemp("worker") / "log"
    with running_worker(url, log, APP, "-c", str(SLOTS), "--grace", "1", "--child-max-memory", "300") as found:
        yield found


def ended(app: Jobistemer, task: str, payload: dict[str, Any] | None = None, **options: Any) -> tuple[RunState, str]:
    """Run a task to its end; its state, with the error or the result as text."""
    run = app.enqueue(task, payload, **options)
    try:
        return RunState.SUCCEEDED, str(run.result(timeout=60))
    except RunFailed:
        record = run.record()
        if record.state in (RunState.DEAD, RunState.TIMED_OUT):
            assert find_dead(app.namespace.shards[0], run.id) is not None
        return record.state, record.error


def all_slots_work(app: Jobistemer, worker: WorkerProcess) -> None:
    """As many runs as there are slots meet in threads, then on the loop; the process is the same as ever."""
    for task in ("meets", "meets_async"):
        calls = [
            app.request(task, {"place": str(id(task)) + task + str(worker.pid), "others": SLOTS}) for _ in range(SLOTS)
        ]
        assert [run.result(timeout=60) for run in app.enqueue_many(calls)] == [SLOTS] * SLOTS
    assert app.enqueue("where").result(timeout=60) == worker.pid
    assert app.enqueue("where_async").result(timeout=60) == worker.pid
    assert worker.process.poll() is None


OK, DEAD, FAILED = RunState.SUCCEEDED, RunState.DEAD, RunState.FAILED
BOTH = {
    "exits": (DEAD, "SystemExit: 3"),
    "interrupts": (DEAD, "KeyboardInterrupt"),
    "leaves_generator": (DEAD, "GeneratorExit"),
    "stops_iteration": (DEAD, "StopIteration: 1"),
    "recurses": (DEAD, "RecursionError: maximum recursion depth exceeded"),
    "returns_an_object": (DEAD, "the work was done, but the result cannot be written as JSON"),
    "returns_much": (DEAD, "the work was done, but the result has 100000002 bytes, allowed are 262144"),
    "returns_itself": (DEAD, "the work was done, but the result cannot be written as JSON"),
    "returns_half_a_character": (DEAD, "the work was done, but the result cannot be written as JSON"),
    "returns_a_coroutine": (DEAD, "nothing was done: it returned a coroutine that nobody runs"),
    "raises_mute": (DEAD, "Mute: (its text cannot be shown: RuntimeError)"),
    "raises_liar": (DEAD, "Liar: "),
    "raises_impostor": (DEAD, "again"),
    "raises_nameless": (DEAD, "Nameless: (its text cannot be shown: KeyboardInterrupt)"),
    "raises_half_a_character": (DEAD, "ValueError: half: \\udc80"),
    "raises_a_novel": (DEAD, "ValueError: xxx"),
    "raises_a_chain": (DEAD, "ValueError: 4999"),
    "raises_escapes": (DEAD, "ValueError: \x1b[2J"),
    "gives_up": (FAILED, "no such customer"),
    "prints_escapes": (OK, "None"),
    "closes_output": (OK, "None"),
    "changes_folder": (OK, "None"),
    "registers_exit": (OK, "None"),
    "leaves_a_thread": (OK, "None"),
    "leaves_a_talking_daemon": (OK, "None"),
    "deletes_its_arguments": (OK, "None"),
    "nests_a_loop": (OK, "nested"),
    "forks": (OK, "5"),
    "forks_and_returns": (OK, "0"),
}
ONE = {
    "changes_signals.thread": (DEAD, "ValueError: signal only works in main thread"),
    "changes_signals.process": (OK, "None"),
    "kills_by_exit.process": (DEAD, "its process ended with exit code 7"),
    "kills_by_segfault.process": (DEAD, "its process died with signal 11 (SIGSEGV)"),
    "kills_by_signal.process": (DEAD, "its process was killed"),
    "kills_by_abort.process": (DEAD, "its process died with signal 6 (SIGABRT)"),
    "kills_by_alarm.process": (DEAD, "its process died with signal 14 (SIGALRM)"),
    "forks_and_dies": (DEAD, "its process ended with exit code 7"),
    "starts_a_program_and_dies": (DEAD, "its process ended with exit code 7"),
    "closes_everything": (DEAD, "its process "),
    "writes_into_the_channel": (DEAD, "its process was killed, or closed the channel to its worker"),
    "hogs_memory": (DEAD, "MiB, allowed are 300"),
    "cancels_itself.loop": (DEAD, "CancelledError"),
    "raises_cancelled.loop": (DEAD, "CancelledError"),
    "stops_the_loop.loop": (OK, "None"),
    "closes_the_loop.loop": (DEAD, "RuntimeError: Cannot close a running event loop"),
    "nests_loops.loop": (DEAD, "RuntimeError: asyncio.run() cannot be called from a running event loop"),
    "runs_the_loop.loop": (DEAD, "RuntimeError: This event loop is already running"),
    "exits_in_a_task.loop": (OK, "went on"),
    "misuses_a_generator.loop": (OK, "1"),
    "async_exits.loop": (DEAD, "SystemExit: 3"),
    "async_interrupts.loop": (DEAD, "KeyboardInterrupt"),
    "async_leaves_generator.loop": (DEAD, "GeneratorExit"),
    "async_stops_iteration.loop": (DEAD, "RuntimeError: coroutine raised StopIteration"),
    "cancels_everybody": (OK, "None"),
    "async_forks.loop": (OK, "5"),
}
ZOO = {f"{name}.{where}": expected for name, expected in BOTH.items() for where in ("thread", "process")} | ONE


def test_the_zoo_is_complete():
    declared = set(hostile.app.handlers)
    assert {name for name in declared if name.endswith((".process", ".loop"))} <= {*ZOO, "swallows_cancellation.loop"}
    assert len(ZOO) >= 20


@pytest.mark.parametrize("task", ZOO)
def test_the_outcome_is_the_truth_and_the_worker_goes_on(app, worker, task):
    state, text = ZOO[task]
    found, said = ended(app, task)
    assert (found, said[: len(text)] if said.startswith(text) else text if text in said else said) == (state, text)
    assert len(said) <= 4_000
    assert app.enqueue("where").result(timeout=60) == worker.pid


def test_a_process_that_has_died_between_two_runs_is_replaced_before_the_next_one(app, worker):
    apart = app.enqueue("where_apart").result(timeout=60)
    os.kill(apart, signal.SIGKILL)
    # Its first thread may be dead before the others, and its parent sees no end before that of them all.
    wait_until(lambda: not is_running(apart) and len(os.listdir(f"/proc/{apart}/task")) == 1, "all of it is dead")
    assert app.enqueue("where_apart").result(timeout=60) != apart


@pytest.mark.timeout(300)
def test_after_all_of_them_every_slot_still_works(app, worker):
    # Half of them start or kill a process: on a busy machine all together take longer than one result may.
    for run in [app.enqueue(task) for task in ZOO]:
        with suppress(RunFailed):
            run.result(timeout=240)
    all_slots_work(app, worker)


def test_no_escape_sequence_of_an_error_reaches_the_log(app, worker):
    ended(app, "raises_escapes.thread")
    worker.says("raises_escapes.thread: attempt")
    lines = [line for line in worker.said().splitlines() if "raises_escapes" in line]
    assert lines and not any("\x1b" in line or "\x07" in line for line in lines)


def test_a_payload_that_is_nested_beyond_reason_is_refused_where_it_is_enqueued(app):
    bomb: list[Any] = []
    for _ in range(100_000):
        bomb = [bomb]
    with pytest.raises(InvalidPayload, match="payload of task 'typed' cannot be written as JSON"):
        app.enqueue("typed", {"tree": bomb})


def test_a_payload_that_does_not_fit_ends_in_the_dead_letters_without_a_retry(app, worker):
    found, said = ended(app, "typed", {"tree": {"no": "list"}}, retry=hostile.RETRIES)
    assert (found, said.partition(":")[0]) == (DEAD, "payload of task 'typed' does not fit")
    all_slots_work(app, worker)


def test_an_entry_that_nobody_can_read_is_dropped_and_holds_up_nobody(app, worker):
    database = app.namespace.shards[0]
    stream = database.keys.stream("default:5")
    for fields in ({"x": "1"}, {"m": b"[" * 100_000, "n": 0, "c": 0}, {"m": b"\xff", "n": "one", "c": 0}):
        database.client.xadd(stream, fields)
    all_slots_work(app, worker)
    wait_until(lambda: database.client.xlen(stream) == 0, "the stream is empty")


@pytest.mark.parametrize("task", ["never_ends", "spins", "swallows_cancellation.loop"])
def test_what_does_not_end_is_recorded_at_its_time_out_and_its_slot_replaced(app, worker, task):
    found, said = ended(app, task, timeout_s=0.3)
    assert (found, said) == (RunState.TIMED_OUT, "timed out after 0.3 s")
    all_slots_work(app, worker)


def test_a_process_that_is_killed_takes_with_it_what_it_has_started(app, worker, tmp_path):
    file = tmp_path / "pid"
    assert ended(app, "starts_a_process_and_hangs", {"file": str(file)}, timeout_s=1.5) == (
        RunState.TIMED_OUT,
        "timed out after 1.5 s",
    )
    grandchild = int(file.read_text())
    wait_until(lambda: not is_running(grandchild), "the process of the process is dead")


@pytest.mark.parametrize("task", ["never_ends", "swallows_cancellation.loop", "starts_a_process_and_hangs"])
def test_running_work_is_cancelled_in_every_executor(app, worker, task, tmp_path):
    payload = {"file": str(tmp_path / "pid")} if task.startswith("starts") else None
    run = app.enqueue(task, payload)
    wait_until(lambda: run.state() is RunState.RUNNING, "the run is shown as running")
    assert run.cancel("enough") is True
    wait_until(lambda: run.state() is RunState.CANCELED, "the run is cancelled")
    record = run.record()
    # A worker asks with each beat; what the test adds is its own waiting.
    assert record.ended_at - record.cancel < 2_000
    all_slots_work(app, worker)


def test_processes_stay_warm_and_a_dead_one_is_replaced(app, worker):
    # One after another they need one process; a second one is there when the worker has only now started it ahead.
    used = {app.enqueue("where_apart").result(timeout=60) for _ in range(4)}
    assert len(used) <= 2
    assert worker.pid not in used
    ended(app, "kills_by_segfault.process")
    assert is_running(app.enqueue("where_apart").result(timeout=60))


@pytest.mark.parametrize(
    "task",
    [
        "blocks_the_loop",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("spins_on_the_loop", "blocks_for_ever")),
    ],
)
def test_a_blocked_loop_is_left_to_the_one_that_blocks_it(url, tmp_path, task):
    own = Jobistemer(url, namespace=f"blocked-{task}", defaults=hostile.app.defaults)
    with running_worker(
        url, tmp_path / "log", APP, "-c", "2", "--namespace", f"blocked-{task}", "--grace", "0"
    ) as worker:
        assert own.enqueue("where_async").result(timeout=60) == worker.pid
        payload = {"seconds": 3600} if task == "blocks_the_loop" else None
        # Ten seconds more than a loop may be blocked: a busy machine needs some to start the new one.
        blocker = own.enqueue(task, payload, timeout_s=15)
        wait_until(lambda: blocker.state() is RunState.RUNNING, "the blocker is shown as running")
        # The others get a loop of their own, long before the blocker's time is over.
        assert own.enqueue("where_async").result(timeout=60) == worker.pid
        assert blocker.state() is RunState.RUNNING
        with pytest.raises(RunFailed, match="timed out after 15 s; it blocked its event loop"):
            blocker.result(timeout=60)
        assert own.enqueue("where_async").result(timeout=60) == worker.pid
        assert f"the event loop has been blocked for 5 s by {blocker.id}" in worker.said()


def test_a_worker_that_has_lost_too_many_threads_ends_for_its_supervisor(url, tmp_path):
    own = Jobistemer(url, namespace="leaks", defaults=hostile.app.defaults)
    with running_worker(url, tmp_path / "log", APP, "-c", "5", "--namespace", "leaks", "--grace", "1") as worker:
        for run in [own.enqueue("never_ends", timeout_s=0.2) for _ in range(10)]:
            with pytest.raises(RunFailed, match="timed out"):
                run.result(timeout=60)
        (seen,) = queues.list_workers(own.namespace.shards)
        wait_until(lambda: worker.process.poll() is not None, "the worker has ended", 40)
        assert worker.process.returncode == 1
        assert "10 threads or coroutines were stopped and never ended" in worker.said()
        assert seen.id


# Each starts four processes; `make test` plays one of them.
BURIED, *OTHERS = [f"{each.__name__}.thread" for each in hostile.KILLERS]


@pytest.mark.parametrize("task", [BURIED, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)])
def test_what_kills_its_worker_is_buried_and_its_neighbours_are_not(url, tmp_path, task):
    # Given workers under a supervisor, and a neighbour that runs beside the poison in the same process
    own = Jobistemer(url, namespace=f"killer-{task}", defaults=hostile.app.defaults)
    arguments = ("-c", "4", "--namespace", f"killer-{task}", "--lease", "1", "--processes", "1", "--grace", "1")
    # By default two suspects run at a time, and the neighbours wait here for the end of the poison.
    arguments = (*arguments, "--max-suspects", "4")
    with running_worker(url, tmp_path / "log", APP, *arguments) as supervisor:
        goal = tmp_path / "go"
        neighbours = [own.enqueue("waits", {"file": str(goal)}) for _ in range(3)]
        database = own.namespace.shards[0]
        for neighbour in neighbours:
            wait_until(lambda each=neighbour: each.state() is RunState.RUNNING, "the neighbour runs")
        # When the poison is run
        poison = own.enqueue(task)
        wait_until(lambda: poison.state() is RunState.DEAD, "the poison is buried", 60)
        goal.touch()
        # Then it has killed a worker once, and after that only processes that were its own
        for neighbour in neighbours:
            assert neighbour.result(timeout=60) is None
        attempts = records.find_attempts(database, poison.record())
        assert [attempt.state for attempt in attempts] == [AttemptState.LOST] * 3
        assert attempts[0].error.endswith("died")
        assert all(attempt.error.startswith("its process") for attempt in attempts[1:])
        assert supervisor.said().count("a new one is started") == 1
        assert supervisor.end() == 0
