"""The task `shell` with real commands in a real worker."""

import os
import threading

import pytest

from jobistemer.contrib import shell
from jobistemer.core import ids
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.states import RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import attempt_log
from tests.support.apps import drain_queues, empty_app, running_worker, shard_of

ANY = Permissions(shell=("*",))
WAIT = 10


@pytest.fixture
def app(tmp_path):
    return empty_app(f"fake://{tmp_path.name}-{os.getpid()}")


@pytest.fixture
def command(app):
    return shell.install(app, retry=NO_RETRIES)


def executed(app, run, permissions=ANY):
    drain_queues(app, permissions=permissions)
    return run.record()


def lines(app, run):
    return [line.text for line in attempt_log.read_attempt_log(shard_of(app), ids.attempt_id(run.id, 0)).lines]


def test_a_list_is_a_program_with_its_arguments(app, command):
    run = command.enqueue(["printf", "%s|", "a b", "$HOME"])
    executed(app, run)
    assert run.result(0) == shell.ShellResult(0, "a b|$HOME|")


def test_a_string_is_run_by_a_shell_with_input_and_environment(app, command):
    run = command.enqueue('read x; echo "$GREETING $x"; echo oops >&2', stdin="ada\n", env={"GREETING": "hello"})
    executed(app, run)
    assert run.result(0).output == "hello ada\noops\n"
    assert lines(app, run) == ["hello ada", "oops"]


@pytest.mark.parametrize(
    ("allowed", "given", "message"),
    [
        ((), ["true"], "shell: this worker runs no commands; start it with --allow-shell PROGRAM,… (or '*' for all)"),
        (("echo",), ["true"], "is not allowed on this worker; allowed are echo"),
        (("true",), "true", "/sh' is not allowed on this worker; allowed are true"),
        (("*",), ["no-such-program"], "shell: program 'no-such-program' is not found on this worker"),
        (("*",), [], "shell: the command is empty; give a program"),
    ],
)
def test_what_the_worker_does_not_allow_fails_for_good_and_by_name(app, command, allowed, given, message):
    record = executed(app, command.enqueue(given), Permissions(shell=allowed))
    assert record.state is RunState.FAILED
    assert message in record.error


def test_an_allowed_program_runs_by_name_and_by_path(app, command):
    for given in (["true"], ["/bin/true"], ["/usr/bin/true"]):
        assert executed(app, command.enqueue(given), Permissions(shell=("true",))).state is RunState.SUCCEEDED


def test_a_program_of_the_same_name_elsewhere_is_not_the_allowed_one(app, command, tmp_path):
    fake = tmp_path / "true"
    fake.write_text("#!/bin/sh\necho fake\n")
    fake.chmod(0o755)
    run = command.enqueue(["true"], env={"PATH": str(tmp_path)})
    assert "is not allowed on this worker" in executed(app, run, Permissions(shell=("true",))).error


def test_an_exit_code_that_was_not_expected_is_a_failure_with_the_end_of_the_output(app, command):
    record = executed(app, command.enqueue("echo first; echo last; exit 3"))
    assert "CommandFailed: the command ended with exit code 3: first\nlast" in record.error
    run = command.enqueue("exit 3", expect=[0, 3])
    executed(app, run)
    assert run.result(0).exit_code == 3


def test_the_output_is_bounded(app, command):
    run = command.enqueue("head -c 1000000 /dev/zero | tr '\\0' x; echo end")
    executed(app, run)
    result = run.result(0)
    assert result.output.endswith("xxend\n")
    assert len(result.output) == shell.MAX_OUTPUT
    assert len(result.output) + result.dropped == 1_000_004


def test_input_that_nobody_reads_is_no_failure(app, command):
    run = command.enqueue(["true"], stdin="x" * 200_000)
    assert executed(app, run).state is RunState.SUCCEEDED


def test_a_time_out_ends_the_whole_process_group(app, command, tmp_path):
    pids = tmp_path / "pids"
    run = command.options(timeout_s=1.0).enqueue(f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; wait")
    assert executed(app, run).error == "timed out after 1 s"
    from tests.support.processes import has_ended

    assert all(has_ended(int(pid)) for pid in pids.read_text().split())


def test_a_cancelled_command_is_ended(app, command, tmp_path):
    from tests.support.processes import has_ended

    pids = tmp_path / "pids"
    os.mkfifo(pids)
    run = command.enqueue(f"echo $$ > {pids}; exec sleep 60")
    with running_worker(app, permissions=ANY):
        pid = int(pids.read_text())
        while cancel.cancel_run(shard_of(app), run.id, "test") == "BUSY":
            pass
        assert has_ended(pid)
    assert run.state() is RunState.CANCELED


def test_a_user_that_is_not_there_is_named(app, command):
    assert "shell: there is no user 'nobody-here'" in executed(app, command.enqueue(["true"], user="nobody-here")).error


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_worker_of_root_runs_commands_as_other_users(app, command):
    run = command.enqueue("id -un; echo $HOME $LOGNAME", user="daemon", cwd="/")
    executed(app, run)
    assert run.result(0).output == "daemon\n/usr/sbin daemon\n"


def test_lines_are_there_while_the_command_runs(app, command, tmp_path):
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)
    run = command.enqueue(f"echo begun; read x < {go_on}; echo ended")
    seen = threading.Event()
    with running_worker(app, permissions=ANY):
        while not lines(app, run):
            pass
        seen.set()
        go_on.write_text("now\n")
        assert run.result(WAIT).output == "begun\nended\n"
    assert lines(app, run) == ["begun", "ended"]
