"""The context in a handler process: all that it promises, by real workers on a real server."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobistemer import Jobistemer
from jobistemer.core import ids
from jobistemer.core.errors import RunFailed
from jobistemer.core.handlers.attempt_log import Progress
from jobistemer.core.states import RunState
from jobistemer.store.calls import attempt_log
from jobistemer.store.keys import GROUP
from jobistemer.store.reads import records
from jobistemer.worker.process.failures import ProcessNotStarted
from jobistemer.worker.process.handler_process import HandlerProcess
from tests.integration.worker import process_executor_app
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import WorkerProcess, running_worker, wait_until

pytestmark = pytest.mark.process
APP = "tests.integration.worker.process_executor_app:app"
WAIT = 60


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(VALKEY, tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture(scope="module")
def app(url: str) -> Jobistemer:
    """The producer's side: it knows no handlers."""
    return Jobistemer(url, namespace="apart", defaults=process_executor_app.app.defaults)


@pytest.fixture(scope="module")
def worker(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    log = tmp_path_factory.mktemp("worker") / "log"
    arguments = ("-c", "4", "--namespace", "apart", "--grace", "5", "--allow-shell", "true")
    with running_worker(url, log, APP, *arguments) as found:
        yield found


def lines(app, run):
    database = app.namespace.shards[0]
    record = run.record()
    return [line.text for line in attempt_log.read_attempt_log(database, ids.attempt_id(run.id, record.attempt)).lines]


def balance(app) -> int:
    database = app.namespace.shards[0]
    return int(database.client.get(database.keys.own("balance")) or 0)


def test_the_context_has_the_facts_of_the_call_and_notes_are_on_record(app, worker):
    run = app.enqueue("tells", {"rows": 3})
    found = run.result(WAIT)
    apart = found.pop("pid")
    assert found == {"run": run.id, "attempt": 0, "shell": ["true"], "ending": ""}
    assert apart != worker.pid
    database = app.namespace.shards[0]
    kept = attempt_log.read_attempt_log(database, ids.attempt_id(run.id, 0))
    assert kept.progress == Progress(3, 6, "rows")
    said = [line.text.partition("\n")[0] for line in kept.lines]
    assert said == [
        f"middleware: begins in process {apart}",
        "before_run: tells",
        "a line for the record",
        "said 3 rows",
        "caught",
        "middleware: ends",
    ]
    assert [line.level for line in kept.lines] == ["info"] * 4 + ["error", "info"]
    assert "KeyError: 'lost'" in kept.lines[4].text
    assert "a line for the record" not in worker.said()


def test_log_lines_of_a_process_are_in_the_workers_log(app, worker):
    run = app.enqueue("tells", {"rows": 4})
    run.result(WAIT)
    about = f"run={run.id} task=tells"
    worker.says(f"attempt ends {about}")
    wanted = [
        f"info     attempt begins {about}",
        f"info     said 4 rows {about}",
        "info     said by a logger of the app",
        f"error    caught {about}",
        "error    caught again",
        f"info     attempt ends {about}",
    ]
    said = [line[9:] for line in worker.said().splitlines()]
    assert [line for line in said[said.index(wanted[0]) :] if line in wanted] == wanted
    assert "    KeyError: 'lost'" in worker.said()
    assert "said in vain" not in worker.said()


def test_middleware_and_hooks_see_how_an_attempt_ends(app, worker):
    run = app.enqueue("raises")
    with pytest.raises(RunFailed, match="ended failed: on purpose"):
        run.result(WAIT)
    assert lines(app, run)[-1] == "middleware: saw Fail: on purpose"
    worker.says("after_run: raises failed")


def test_middleware_limits_the_time_of_an_attempt(app, worker):
    with pytest.raises(RunFailed, match="timed out after 0.5 s"):
        app.enqueue("limited_by_middleware").result(WAIT)


@pytest.mark.parametrize("task", ["sets_a_variable", "sets_a_variable_async"])
def test_a_context_variable_is_gone_with_its_attempt(app, worker, task):
    assert {app.enqueue(task).result(WAIT) for _ in range(3)} == {"nothing"}


def test_a_transaction_is_applied_with_the_outcome(app, worker):
    before = balance(app)
    run = app.enqueue("pay", {"amount": 5})
    assert run.result(WAIT) == 5
    assert balance(app) == before + 5
    database = app.namespace.shards[0]
    stored = database.client.hgetall(database.keys.own("last"))
    assert stored == {b"text": "ü".encode(), b"number": str(2**63 - 1).encode(), b"bytes": b"\xff", b"float": b"0.1"}
    assert follow_ups(app, run) == ["scheduled", "succeeded"]


@pytest.mark.parametrize("then", ["fail", "die"])
def test_nothing_is_applied_when_the_handler_or_its_process_fails(app, worker, then):
    before = balance(app)
    run = app.enqueue("pay", {"amount": 5, "then": then})
    with pytest.raises(RunFailed):
        run.result(WAIT)
    assert balance(app) == before
    assert follow_ups(app, run) == []


def test_nothing_is_applied_when_the_attempt_is_cancelled(app, worker):
    before = balance(app)
    run = app.enqueue("pay", {"amount": 5, "then": "wait"})
    database = app.namespace.shards[0]
    wait_until(
        lambda: attempt_log.read_attempt_log(database, ids.attempt_id(run.id, 0)).progress, "the handler is inside"
    )
    assert run.cancel("changed our mind")
    wait_until(lambda: run.state() is RunState.CANCELED, "the run is cancelled")
    assert balance(app) == before
    assert follow_ups(app, run) == []


def follow_ups(app, run) -> list[str]:
    """The states of the runs that a payment has enqueued, once none of them is on its way."""

    def states() -> list[str]:
        found = [app.run(each.decode()) for each in database.client.smembers(database.keys.own(f"of:{run.id}"))]
        return sorted(each.state().value for each in found)

    database = app.namespace.shards[0]
    wait_until(lambda: not {"pending", "running"} & set(states()), "no follow-up is on its way")
    return states()


def test_an_impossible_transaction_is_refused_in_the_handler(app, worker):
    with pytest.raises(RunFailed, match="InvalidInput: transaction: command 'FLUSHALL' is not allowed"):
        app.enqueue("pays_wrongly").result(WAIT)


def test_it_maps_and_a_reducer_in_a_process_receives_all_results(app, worker):
    reducer = app.enqueue("fan", {"count": 1_200}).result(WAIT)
    found = app.run(reducer).result(WAIT)
    assert found.pop("pid") != worker.pid
    assert found == {"sum": sum(n * n for n in range(1_200)), "len": 1_200, "failed": 0}


def test_a_coroutine_maps_too(app, worker):
    reducer = app.enqueue("fan_async", {"items": [1, 2]}).result(WAIT)
    assert app.run(reducer).result(WAIT)["sum"] == 5


def test_it_maps_several_times(app, worker):
    reducers = app.enqueue("fan_twice").result(WAIT)
    assert [app.run(each).result(WAIT)["sum"] for each in reducers] == [5, 9]


def test_results_that_fit_into_no_page_are_read_all_the_same(app, worker):
    reducer = app.enqueue("fan_of_long_ones").result(WAIT)
    assert app.run(reducer).result(WAIT) == 60 * 200_000


def test_items_that_cannot_be_mapped_are_refused_in_the_handler_and_it_may_go_on(app, worker):
    assert app.enqueue("maps_badly").result(WAIT) == [
        "ConnectionError: the source is gone",
        "InvalidPayload: item 0 of ctx.map: payload of task 'square' does not fit: Expected `int`, got `str` - at `$.n`",
        "InvalidInput: failure is 'never', allowed are fail_fast, continue, retry_on_failure",
    ]


def test_a_fault_of_the_worker_costs_the_attempt_and_its_process_and_nothing_else(app, worker):
    for _ in range(5):
        with pytest.raises(RunFailed, match="KeyError: 'nobody'"):
            app.enqueue("asks_for_what_there_is_not").result(WAIT)
    # More often than there are slots: none of them is lost.
    assert app.enqueue("where").result(WAIT) != worker.pid
    assert worker.process.poll() is None


def test_threads_left_by_a_handler_cannot_use_its_context_and_do_no_harm(app, worker):
    for _ in range(3):
        assert app.enqueue("talks_after_its_end").result(WAIT) is None
        assert app.enqueue("tells", {"rows": 1}).result(WAIT)["attempt"] == 0


def test_tasks_of_a_job_get_results_and_reports(app, worker):
    deployed = Jobistemer(app.namespace.url, namespace="apart")
    for job in process_executor_app.app.jobs():
        deployed.control.register(job)
    occurrence, _ = deployed.control.trigger("nightly")
    job = ids.job_id("nightly")
    done = deployed.run(ids.completion_run_id(occurrence))
    wait_until(lambda: records.find_run(app.namespace.shards[0], done.id), "the occurrence has ended")
    assert done.result(WAIT) == ["extract succeeded", "spread succeeded", "load succeeded"]
    runs = {
        name: deployed.run(ids.run_id(occurrence, ids.task_id(job, name))) for name in ("extract", "spread", "load")
    }
    assert runs["load"].result(WAIT) == {
        "extract": [1, 2, 3],
        "spread": [1, 4, 9],
        "last_run_at": None,
        "cancel_reason": "",
    }
    assert [("on_start" in lines(app, run)) for run in runs.values()] == [True, False, False]


def test_a_result_with_a_model_reaches_the_process_of_the_next_task_as_it_was(app, url, worker):
    deployed = Jobistemer(url, namespace="apart")
    for job in process_executor_app.app.jobs():
        deployed.control.register(job)
    occurrence, _ = deployed.control.trigger("modelled")
    run = deployed.run(ids.run_id(occurrence, ids.task_id(ids.job_id("modelled"), "pass_on")))
    wait_until(lambda: records.find_run(app.namespace.shards[0], run.id), "the task before it has ended")
    assert run.result(WAIT) is None
    assert "(Order(number=7, raw=b'\\x01'), b'abc')" in lines(app, run)


def test_a_process_calls_the_start_and_stop_functions_and_fills_dependencies(url, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_NOTES", str(tmp_path / "notes"))
    arguments = ("-c", "1", "--namespace", "resources", "--grace", "5")
    app = Jobistemer(url, namespace="resources", defaults=process_executor_app.app.defaults)
    with running_worker(url, tmp_path / "log", APP, *arguments) as worker:
        found = [app.enqueue("resources").result(WAIT) for _ in range(4)]
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(WAIT)
    # Beside the first process there may be one that was started before it was needed: two for four attempts. What an
    # attempt has left on the loop is gone when the next one runs.
    pids = {each[0] for each in found}
    assert len(pids) <= 2
    assert found == [[each[0], each[0], True, 1] for each in found]
    notes = (tmp_path / "notes").read_text().splitlines()
    assert {f"{pid} True" for pid in (*pids, worker.process.pid)} <= set(notes)
    assert all(note.endswith(" True") for note in notes)


def test_the_context_shows_when_the_worker_shuts_down(url, tmp_path):
    own_app = Jobistemer(url, namespace="leaving", defaults=process_executor_app.app.defaults)
    with running_worker(url, tmp_path / "log", APP, "-c", "1", "--namespace", "leaving", "--grace", "20") as worker:
        run = own_app.enqueue("until_it_should_end")
        database = own_app.namespace.shards[0]
        wait_until(
            lambda: attempt_log.read_attempt_log(database, ids.attempt_id(run.id, 0)).progress, "the handler is inside"
        )
        assert worker.end() == 0
        assert run.result(WAIT) == "shutdown"


def test_a_process_that_cannot_import_its_app_leaves_no_zombie_and_no_open_file(tmp_path, monkeypatch):
    started, start = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *args, **kwargs: started.append(start(*args, **kwargs)) or started[-1]
    )
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ProcessNotStarted, match="No module named 'no_such_module'") as refused:
        HandlerProcess("no_such_module:app", str(tmp_path), 0)
    # The error keeps what it was raised in, as one does that is logged somewhere.
    assert (started[0].returncode is not None, len(os.listdir("/proc/self/fd"))) == (True, before), refused


def test_a_run_whose_process_is_being_started_goes_back_when_the_worker_ends(url, tmp_path, monkeypatch):
    held = tmp_path / "held"
    held.touch()
    monkeypatch.setenv("TEST_HOLD", str(held))
    own_app = Jobistemer(url, namespace="starting", defaults=process_executor_app.app.defaults)
    database = own_app.namespace.shards[0]
    stream = database.keys.stream("default:5")
    with running_worker(url, tmp_path / "log", APP, "-c", "1", "--namespace", "starting", "--grace", "20") as worker:
        run = own_app.enqueue("where")
        wait_until(lambda: database.client.xpending(stream, GROUP)[0] == 1, "a slot has it")
        # Without the grace period: nothing has begun.
        assert worker.end(seconds=15) == 0
    held.unlink()
    assert database.client.xpending(stream, GROUP)[0] == 0
    assert (run.state(), records.find_attempts(database, run.record())) == (RunState.PENDING, [])


def test_a_thread_that_a_handler_left_does_not_keep_its_process_when_the_worker_dies(url, tmp_path):
    own_app = Jobistemer(url, namespace="left", defaults=process_executor_app.app.defaults)
    with running_worker(url, tmp_path / "log", APP, "-c", "1", "--namespace", "left") as worker:
        beside = own_app.enqueue("leaves_a_thread").result(WAIT)
        assert lives(beside)
        worker.process.kill()
        wait_until(lambda: not lives(beside), "its process has ended as well")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- What has killed its worker once is isolated, whatever it asks for ----------------------------------------------


def suspicious(url, log, namespace):
    arguments = ("-c", "2", "--namespace", namespace, "--lease", "1", "--processes", "1", "--grace", "1")
    return running_worker(url, log, APP, *arguments)


@pytest.mark.slow
def test_a_suspect_with_a_context_runs_in_a_process_with_its_context(url, tmp_path):
    own_app = Jobistemer(url, namespace="suspect", defaults=process_executor_app.app.defaults)
    with suspicious(url, tmp_path / "log", "suspect") as supervisor:
        run = own_app.enqueue("kills_its_worker_once", {"file": str(tmp_path / "mark")})
        found = run.result(60)
        assert found["attempt"] == 1
        assert supervisor.said().count("a new one is started") == 1
        assert lines(own_app, run)[0] == f"middleware: begins in process {found['pid']}"
        assert balance(own_app) == 1
        assert supervisor.end() == 0


@pytest.mark.long
def test_a_reducer_that_kills_its_worker_dies_alone_the_second_time(url, tmp_path):
    own_app = Jobistemer(url, namespace="reducer", defaults=process_executor_app.app.defaults)
    with suspicious(url, tmp_path / "log", "reducer") as supervisor:
        reducer = own_app.run(own_app.enqueue("fan_to_poison").result(WAIT))
        wait_until(lambda: reducer.state() is RunState.DEAD, "the reducer is buried", 60)
        attempts = records.find_attempts(own_app.namespace.shards[0], reducer.record())
        assert [attempt.error.partition(" ")[0] for attempt in attempts] == ["its"] * 3
        assert [attempt.error.startswith("its process ended with exit code 5") for attempt in attempts] == [
            False,
            True,
            True,
        ]
        assert supervisor.said().count("a new one is started") == 1
        assert supervisor.end() == 0


@pytest.mark.slow
def test_a_zombie_whose_process_has_ended_has_its_transaction_refused(url, tmp_path):
    # Given a worker that is stopped while its process runs a handler
    own_app, mark = Jobistemer(url, namespace="zombie", defaults=process_executor_app.app.defaults), tmp_path / "mark"
    database = own_app.namespace.shards[0]
    arguments = (APP, "-c", "1", "--namespace", "zombie", "--lease", "1", "--grace", "1")
    run = own_app.enqueue("pay_when", {"amount": 5, "file": str(mark)})
    with running_worker(url, tmp_path / "log", *arguments) as zombie:
        wait_until(
            lambda: attempt_log.read_attempt_log(database, ids.attempt_id(run.id, 0)).progress, "the handler is inside"
        )
        zombie.process.send_signal(signal.SIGSTOP)
        # When its process comes to the end, another worker takes over, and then the first one hears of that end
        mark.touch()
        with running_worker(url, tmp_path / "other log", *arguments):
            assert run.result(WAIT) == 5
            zombie.process.send_signal(signal.SIGCONT)
            zombie.says("this outcome is dropped")
    # Then it was applied once
    assert balance(own_app) == 5
    assert [each.state.value for each in records.find_attempts(database, run.record())] == ["lost", "succeeded"]
