"""`/livez` and `/readyz` of real processes: a stuck thread is named, and a server that is away makes no process stuck."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobistemer import Jobistemer
from tests.support.processes import Process
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.process

APP = """
import os
import time
from pathlib import Path

from jobistemer import Jobistemer

app = Jobistemer()


@app.task
def waits(file: str) -> int:
    while not Path(file).exists():
        time.sleep(0.02)
    return os.getpid()
"""
# Its beats stop in the middle of one, as a lock that nobody gives back would make them; three seconds are thirty here.
BLOCKED = """
import threading

from jobistemer.runtime import liveness
from jobistemer.worker.lease.beat import Beater
from observed import app

liveness.STEP_S = 3.0
Beater._execute_command = lambda self, command: threading.Event().wait()
"""
Start = Callable[..., tuple[Process, int]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, ExitStack]]:
    """A server's URL, and what ends it."""
    with ExitStack() as ending:
        yield ending.enter_context(running(VALKEY, tmp_path)), ending


@pytest.fixture
def start(server: tuple[str, ExitStack], tmp_path: Path) -> Iterator[Start]:
    """`start("worker", "observed:app")` starts a process; with the port at which it answers."""
    (tmp_path / "observed.py").write_text(APP)
    (tmp_path / "blocked.py").write_text(BLOCKED)
    with ExitStack() as stack:

        def started(role: str, *arguments: str) -> tuple[Process, int]:
            command = ("-m", f"jobistemer.cli.commands.{role}")
            process = Process(*arguments, "--health-port", "0", folder=tmp_path,
                              environment={"JOBISTEMER_URL": server[0]}, command=command)  # fmt: skip
            stack.enter_context(process)
            return process, int(process.says(r"health endpoint: http://127\.0\.0\.1:(\d+)")[1])

        yield started


def asked(port: int, page: str) -> tuple[int, list[str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", page)
    found = connection.getresponse()
    lines = found.read().decode().splitlines()
    connection.close()
    return found.status, lines


def ready(port: int) -> bool:
    return asked(port, "/readyz") == (200, ["ok"])


def test_a_beat_that_is_stuck_makes_a_worker_no_longer_alive(start):
    _, port = start("worker", "blocked:app")
    assert asked(port, "/livez") == (200, ["ok"])
    _, (trouble,) = wait_until(
        lambda: asked(port, "/livez")[0] == 503 and asked(port, "/livez"), "the beat counts as stuck"
    )
    assert "beat has made no step for " in trouble
    assert ", it is at threading line " in trouble


def test_a_server_that_is_away_makes_processes_unready_and_not_dead(start, server):
    _, worker = start("worker", "observed:app")
    _, ticker = start("ticker")
    wait_until(lambda: ready(worker) and ready(ticker), "both are ready")
    server[1].close()
    wait_until(lambda: asked(worker, "/readyz")[0] == 503, "the worker says that it is not heard")
    (reason,) = asked(worker, "/readyz")[1]
    assert reason.startswith("it has not beaten for ")
    assert (asked(worker, "/livez"), asked(ticker, "/livez")) == ((200, ["ok"]), (200, ["ok"]))


def test_a_worker_that_drains_or_is_quiet_is_alive_and_not_ready(start, server, tmp_path):
    process, port = start("worker", "observed:app")
    wait_until(lambda: ready(port), "it is ready")
    run = Jobistemer(server[0]).enqueue("waits", {"file": str(tmp_path / "go")})
    wait_until(lambda: run.state() == "running", "the run goes on")
    process.send(signal.SIGTSTP)
    quiet = (503, ["it is quiet: it takes no new work until a command lets it go on"])
    wait_until(lambda: asked(port, "/readyz") == quiet, "it is quiet")
    process.send(signal.SIGTERM)
    wait_until(lambda: asked(port, "/readyz") == (503, ["it ends: it takes no new work"]), "it drains")
    assert asked(port, "/livez") == (200, ["ok"])
    (tmp_path / "go").touch()
    assert process.ends() == 0


def test_a_supervisor_answers_for_its_processes(start, server):
    process, port = start("worker", "observed:app", "--processes", "2")
    wait_until(lambda: ready(port), "both are ready")
    first, second = (int(process.says(r"worker [^.]*\.(\d+)\.\S+ started")[1]) for _ in range(2))
    os.kill(second, signal.SIGSTOP)
    wait_until(lambda: asked(port, "/livez")[0] == 503, "one does not answer")
    (reason,) = asked(port, "/livez")[1]
    assert reason.endswith(": it does not answer: timed out")
    os.kill(second, signal.SIGCONT)
    wait_until(lambda: asked(port, "/livez")[0] == 200, "it answers again")
    # One that has died is replaced: not ready meanwhile, and nothing that a restart of the supervisor would mend.
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: "it is not there yet" in " ".join(asked(port, "/readyz")[1]), "one is missing")
    assert asked(port, "/livez") == (200, ["ok"])
    process.send(signal.SIGTERM)
    assert process.ends() == 0
