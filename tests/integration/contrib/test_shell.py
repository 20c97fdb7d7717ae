"""The task `shell` with real commands in a real worker."""

import os
import shlex
import signal
import subprocess
import sys
import threading

import pytest

from jobistemer.contrib import shell, shell_process
from jobistemer.core import ids
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.states import RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import attempt_log
from tests.support.apps import drain_queues, empty_app, running_worker, shard_of
from tests.support.worker_processes import wait_until

ANY = Permissions(shell=("*",))
WAIT = 60


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
    allowed = Permissions(shell=("true",), shell_env=("PATH",))
    assert f"program '{tmp_path}/true' is not allowed on this worker" in executed(app, run, allowed).error


@pytest.mark.parametrize(
    "name",
    ["BASH_ENV", "BASH_FUNC_ls%%", "ENV", "PATH", "IFS", "LD_PRELOAD", "LD_AUDIT", "PYTHONPATH", "PERL5OPT", "RUBYOPT",
     "NODE_OPTIONS", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "TZ", "GREETING"],
)  # fmt: skip
def test_a_call_sets_no_variable_that_the_worker_does_not_allow(app, command, name, tmp_path):
    run = command.enqueue(["sh", "-c", "true"], env={name: f"$(touch {tmp_path}/seen)"})
    record = executed(app, run, Permissions(shell=("sh",), shell_env=("OTHER",)))
    assert record.state is RunState.FAILED
    assert (
        f"shell: variable {name!r} is not allowed on this worker; allowed are OTHER (--allow-shell-env" in record.error
    )
    assert not (tmp_path / "seen").exists()


def test_a_variable_that_the_worker_allows_reaches_the_command(app, command):
    run = command.enqueue(["printenv", "GREETING"], env={"GREETING": "hello"})
    executed(app, run, Permissions(shell=("printenv",), shell_env=("GREETING",)))
    assert run.result(0).output == "hello\n"


def test_the_environment_of_the_worker_is_not_handed_on_but_for_a_few_names(app, command, monkeypatch):
    monkeypatch.setenv("JOBISTEMER_URL", "redis://:hunter2@host")
    monkeypatch.setenv("PGPASSFILE", "/etc/pgpass")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("LANG", "C.UTF-8")
    run = command.enqueue(["env"])
    executed(app, run, Permissions(shell=("env",), shell_pass_env=("PGPASSFILE",)))
    given = {line.partition("=")[0] for line in run.result(0).output.splitlines()}
    given -= {"SUBPROCESS_SENTRY_TRACE", "SUBPROCESS_BAGGAGE"}  # of sentry-sdk, once a test before has started it
    assert given <= {*shell.HANDED_ON, "PGPASSFILE", "LC_TIME", "LC_ALL", "LC_CTYPE"}
    assert {"PATH", "LANG", "LC_TIME", "PGPASSFILE"} <= given


def test_input_that_is_no_text_is_refused_by_name(app, command):
    from datetime import UTC, datetime

    from jobistemer import Context
    from jobistemer.core.handlers.control_errors import Fail
    from jobistemer.core.handlers.local_tools import LocalTools

    at = datetime(2026, 1, 1, tzinfo=UTC)
    context = Context(
        run="run_1",
        attempt=0,
        attempt_id="",
        handler="shell",
        due_at=at,
        started_at=at,
        fencing_token=1,
        tools=LocalTools(),
    )
    with pytest.raises(Fail, match="shell: stdin has a character that is no text at position 1"):
        shell.shell(context, ["cat"], stdin="a\ud800")


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
    assert len(result.output) == shell_process.MAX_OUTPUT
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


# Each makes sessions of its own and lets its parents end, so that neither the group nor the parents lead to it.
DAEMON = """
import os, sys
for _ in range(2):
    if os.fork(): os._exit(0)
    os.setsid()
with open(sys.argv[1], "w") as file: file.write(str(os.getpid()))
import signal
for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
os.close(os.open(sys.argv[2], os.O_WRONLY))
while True: signal.pause()
"""


@pytest.mark.parametrize("ending", ["cancel", "killed worker"])
def test_what_made_a_session_of_its_own_ends_with_the_command(app, command, tmp_path, ending):
    from tests.support.processes import has_ended

    pid, begun = tmp_path / "pid", tmp_path / "begun"
    os.mkfifo(begun)
    arguments = [sys.executable, "-c", DAEMON, str(pid), str(begun)]
    waits = f"{shlex.join(arguments)}; exec sleep 60"
    if ending == "killed worker":
        # As a worker would hold it that is killed at once: nothing but the pipes tells the guard.
        held = f"from jobistemer.contrib.shell_process import ShellCommand; ShellCommand(['/bin/sh', '-c', {waits!r}], {{'PATH': '/usr/bin:/bin'}}, None, None); import signal; signal.pause()"
        with subprocess.Popen([sys.executable, "-c", held]) as holder:
            begun.read_bytes()
            holder.kill()
    else:
        run = command.enqueue(waits)
        with running_worker(app, permissions=ANY):
            begun.read_bytes()
            while cancel.cancel_run(shard_of(app), run.id, "test") == "BUSY":
                pass
    wait_until(lambda: has_ended(int(pid.read_text())), "the descendant has ended")


def test_what_a_command_leaves_when_it_ends_by_itself_goes_on(app, command, tmp_path):
    run = command.enqueue(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"])
    executed(app, run)
    pid = int(run.result(0).output)
    # Raises ProcessLookupError if there were none.
    os.kill(pid, signal.SIGKILL)


def test_a_command_that_cannot_be_started_says_why(app, command, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    assert "cannot be started: [Errno 8] Exec format error" in executed(app, command.enqueue([str(broken)])).error
    assert "No such file or directory: '/no/such'" in executed(app, command.enqueue(["true"], cwd="/no/such")).error


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
