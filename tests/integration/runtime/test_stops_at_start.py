"""Processes that are asked to end while they start: they end with 0 and one line, however early the signal comes."""

import signal
import sys

import pytest

from jobistemer.runtime.child_process import ChildProcess, module_command, process_command
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("role", ["worker", "ticker", "dashboard"])
def test_a_child_that_is_ended_before_its_interpreter_runs_ends_with_zero_and_one_line(role, number):
    lines = []
    child = ChildProcess(role, process_command(role), on_line=lambda _, line: lines.append(line))
    child.send_signal(number)
    wait_until(lambda: child.exit_code is not None, "the process has ended")
    child.join_output()
    name = "jobistemer dashboard" if role == "dashboard" else f"jobistemer-{role}"
    assert (child.exit_code, lines) == (0, [f"{name}: {number.name} during the start: ended, nothing has begun"])


def test_a_signal_during_the_import_of_the_app_ends_the_process_even_if_the_app_catches_everything(tmp_path):
    (tmp_path / "stubborn.py").write_text(
        "import time\nprint('importing', flush=True)\n"
        "while True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass\n"
    )
    lines = []
    command = process_command("worker", "stubborn:app")
    environment = {"PYTHONPATH": str(tmp_path)}
    child = ChildProcess("worker", command, environment, lambda _, line: lines.append(line))
    wait_until(lambda: lines, "the app is being imported")
    child.terminate()
    wait_until(lambda: child.exit_code is not None, "the process has ended")
    child.join_output()
    assert (child.exit_code, len(lines)) == (0, 2)


def test_only_the_entry_that_lifts_them_is_started_with_signals_held_back():
    code = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))))"
    lines = []
    child = ChildProcess("other", [sys.executable, "-c", code], on_line=lambda _, line: lines.append(line))
    wait_until(lambda: child.exit_code is not None, "the process has ended")
    child.join_output()
    assert lines == ["[]"]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    assert module_command("jobistemer_start") == process_command("worker")[:-1]
