"""`jobistemer dev` with real processes: its output, and that all processes end, however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import threading
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from jobistemer.cli import main
from jobistemer.core.errors import NotConnected
from jobistemer.dev.processes import SERVER_COMMAND, ProcessGroup
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.jobs import list_jobs
from tests.support.processes import Process, has_ended
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.process

APP = """
import time
from jobistemer import Delays, Jobistemer

app = Jobistemer()

@app.job("* * * * * *", overlap="allow")
def every_second() -> None:
    time.sleep(0.7)

@app.job("*/2 * * * * *", retry=Delays((1.0,)))
def at_odds() -> None:
    raise RuntimeError("on purpose")
"""
STARTED = r"\[(ticker|worker \d)\] .* started"
PID = r"(?:ticker|worker) [\w-]+\.(\d+)\.\w+ started"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "app.py").write_text(APP)
    for variable in ("JOBISTEMER_URL", "JOBISTEMER_NAMESPACE", "JOBISTEMER_APP"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def dev(folder, *arguments, port=0):
    return Process("dev", "app:app", "--dashboard-port", str(port), *arguments, folder=folder)


def nobody_is_left(process):
    """Neither a ticker or worker that has said its process id, nor the server."""
    pids = [int(pid) for pid in re.findall(PID, process.text)]
    assert pids
    assert all(has_ended(pid) for pid in pids)
    url = re.search(r"JOBISTEMER_URL=(\S+)", process.text)[1]
    # Its processes end when the pipes to them close, each at its own pace; the server may be the last.
    wait_until(lambda: not answers(url), "the server has ended")


def test_the_embedded_server_is_reached_by_its_own_user_only(tmp_path):
    processes = ProcessGroup(print, print)
    try:
        url = processes.start_server()
        path = Path(url.removeprefix("unix://"))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert Namespace(url).settings.ask("CONFIG", "GET", "port") in ({b"port": b"0"}, [b"port", b"0"])
    finally:
        processes.end(threading.Event())
    assert not path.parent.exists()


def test_the_process_of_the_embedded_server_imports_nothing_of_this_package():
    python, *flags, path = SERVER_COMMAND
    run = f"import runpy, sys; runpy.run_path({path!r}); print(*sys.modules)"
    found = subprocess.run([python, *flags, "-c", run], capture_output=True, text=True, check=True).stdout.split()
    assert {"tempfile", "jobistemer", "redis"} & set(found) == {"tempfile"}


def answers(url):
    try:
        return Namespace(url).shards != []
    except NotConnected:
        return False


def test_an_app_runs_with_a_server_of_its_own_until_the_time_is_over(folder):
    with dev(folder, "--workers", "2", "--seconds", "6") as process:
        assert process.ends() == 0
        nobody_is_left(process)
    said = process.text
    assert "job every_second: created, version 1" in said
    assert re.search(r"every_second of \S+ completed in 0\.\d s: fired on time", said)
    assert "at_odds is tried again: RuntimeError: on purpose" in said
    assert re.search(r"at_odds of \S+ failed in", said)
    assert re.search(r"· default \d+ waiting, \d+ in flight \| \d+ delayed \| \d+ runs/s \| workers \d \| next ", said)
    assert re.search(r"^occurrences: \d+ completed, \d+ failed", said, re.MULTILINE)
    # Each run that has failed for good is logged with its trace; there is no other.
    traces = re.findall(r"^\[worker \d\]     RuntimeError: on purpose$", said, re.MULTILINE)
    assert said.count("Traceback") == len(traces) > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes_in_order(folder, number):
    with dev(folder) as process:
        process.says(r"every_second of \S+ completed")
        process.send(number)
        assert process.ends() == 0
        nobody_is_left(process)
    assert re.search(r"\[worker 1\] .* stopped", process.text)
    assert re.search(r"\[ticker\] .* stopped", process.text)


@pytest.mark.slow
def test_a_worker_that_dies_is_shown_and_replaced(folder):
    with dev(folder, "--workers", "1", "--lease", "1") as process:
        pid = int(process.says(r"worker [\w-]+\.(\d+)\.\w+ started")[1])
        os.kill(pid, signal.SIGKILL)
        process.says(rf"worker 1 \(pid {pid}\) was killed by signal 9; a new one is started")
        assert int(process.says(r"worker [\w-]+\.(\d+)\.\w+ started")[1]) != pid
        process.send(signal.SIGTERM)
        assert process.ends() == 0
        nobody_is_left(process)


@pytest.mark.slow
def test_the_work_of_a_worker_killed_on_purpose_is_seen_to_be_taken_over(folder):
    with dev(folder, "--workers", "2", "-c", "1", "--lease", "1", "--kill-worker-after", "1") as process:
        victim = process.says(r">>> KILLED worker \d \(([\w.-]+)\) with SIGKILL: runs it had in flight: \d+")[1]
        process.says(rf">>> TAKEN OVER \S+ run_\S+ attempt 1 lost with {victim}, attempt 2 \w+ on (?!{victim})\S+")
        process.says(r">>> TAKEOVER COMPLETE after \d+\.\d s: lost attempts \d+, all of them run again")
        process.send(signal.SIGINT)
        assert process.ends() == 0
        nobody_is_left(process)
    assert f"takeover: of what worker {victim} had in flight, run again: " in process.text


def test_when_it_is_killed_itself_its_children_end_all_the_same(folder):
    with dev(folder) as process:
        process.says(r"every_second of \S+ completed")
        process.send(signal.SIGKILL)
        assert process.ends() == -signal.SIGKILL
        nobody_is_left(process)


@pytest.mark.slow
def test_the_dashboard_runs_also_where_its_port_is_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with dev(folder, port=port) as process:
            address = process.says(r"^dashboard: (http://127\.0\.0\.1:\d+/)$")[1]
            assert not address.endswith(f":{port}/")
            process.says(r"\[dashboard\] .* dashboard of jobistemer at ")
            process.says(r"every_second of \S+ completed")
            page = urlopen(address).read().decode()
            process.send(signal.SIGTERM)
            assert process.ends() == 0
            nobody_is_left(process)
    assert "every_second" in page
    assert has_ended_listening(address)


def has_ended_listening(address):
    with pytest.raises(URLError):
        urlopen(address)
    return True


def test_an_app_that_cannot_be_imported_ends_it_with_one_line(folder):
    (folder / "app.py").write_text("1 / 0\n")
    with dev(folder) as process:
        assert process.ends() == 1
    (line,) = process.lines
    assert line.startswith("Error: app 'app:app': importing app failed: ZeroDivisionError: division by zero")


@pytest.mark.slow
def test_another_server_can_be_used_and_is_left_running(folder, tmp_path):
    with running(VALKEY, tmp_path) as url, dev(folder, "--url", url, "--namespace", "shared") as process:
        process.says(r"every_second of \S+ completed")
        process.send(signal.SIGTERM)
        assert process.ends() == 0
        assert [job.name for job in list_jobs(Namespace(url, "shared").shards)] != []


def test_a_fake_server_is_refused_because_other_processes_could_not_see_it():
    result = CliRunner().invoke(main, ["dev", "app:app", "--url", "fake://here"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: --url fake://here: a fake server exists in one process only")


def test_without_the_embedded_server_it_says_how_to_install_it(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTSTP)}
    result = CliRunner().invoke(main, ["dev", "app:app"])
    for number, handler in before.items():
        signal.signal(number, handler)
    assert result.exit_code == 1
    assert "no embedded server is installed: pip install 'jobistemer[embedded]', or point --url" in result.stderr
