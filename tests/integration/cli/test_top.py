"""`jobistemer top`: what a look finds and costs on each kind of server, and the command in a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from click.testing import CliRunner

from jobistemer import NO_RETRIES, Delays, Jobistemer
from jobistemer.cli import main
from jobistemer.cli.top import command, monitor
from jobistemer.cli.top.snapshot import CountingDatabase, take_snapshot
from jobistemer.core.errors import NotConnected
from jobistemer.store.calls.streams import StreamReader, open_streams
from jobistemer.store.keys import places_of
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import queues_snapshot
from tests.support.servers import VALKEY, running
from tests.support.step_system import StepWorker, open_app

COMMAND = [sys.executable, "-c", "from jobistemer.cli import main; main(prog_name='jobistemer')", "top"]
SIZE, LARGE = (24, 80), (40, 150)
GIVE_UP_S = 60.0


@pytest.fixture
def app(server_url, clock, database):
    app = open_app(server_url, clock)
    app.queues._namespace = app.namespace

    @app.task
    def fine() -> None: ...

    @app.task(retry=NO_RETRIES)
    def broken() -> None:
        raise ValueError("no")

    @app.task(retry=Delays((60.0,)))
    def stubborn() -> None:
        raise ValueError("not yet")

    @app.job("0 2 * * *")
    def nightly() -> None: ...

    return app


def seen(database):
    return take_snapshot([CountingDatabase(database.client, database.keys, database.clock, database.address)])


def test_a_look_finds_what_waits_what_runs_and_what_failed(app, database):
    app.deploy()
    worker = StepWorker(database, app)
    for task in ("broken", "stubborn"):
        app.enqueue(task)
    worker.work()
    worker.beat()
    first = app.enqueue("fine")
    app.enqueue("fine")
    StreamReader(database, "alice").fetch(["default:5"], 1, block=False)
    app.queues.pause("default")
    found = seen(database)
    (queue,) = found.queues
    assert (queue.name, queue.waiting, queue.in_flight, queue.paused) == ("default", 1, 1, True)
    assert queue.oldest_at is not None
    assert queue.taken in (3, None)
    assert [(going.run, going.task, going.worker) for going in found.running] == [(first.id, "fine", "alice")]
    assert [(failure.task, failure.dead, failure.error.splitlines()[0]) for failure in found.failures] == [
        ("stubborn", False, "ValueError: not yet"),
        ("broken", True, "ValueError: no"),
    ]
    assert (found.delayed, found.dead, found.jobs) == (1, 1, 1)
    assert [worker.id for worker in found.workers] == ["alice"]
    assert found.next_due > found.at_ms


@pytest.mark.slow
def test_a_look_costs_the_same_whatever_is_on_record_and_whatever_waits(app, database):
    worker = StepWorker(database, app)

    def crowd(number):
        app.enqueue_many(app.request("broken") for _ in range(number))
        worker.work()
        app.enqueue_many(app.request("fine", delay=60) for _ in range(number))
        app.enqueue_many(app.request("fine") for _ in range(number))
        StreamReader(database, "alice").fetch(["default:5"], number // 2, block=False)
        return seen(database).cost.commands

    assert crowd(50) == crowd(400)


def test_of_very_many_queues_the_first_are_looked_at_and_the_rest_is_counted(app, database, monkeypatch):
    monkeypatch.setattr(queues_snapshot, "MAX_STREAMS", 15)
    open_streams(database, [*places_of("a"), *places_of("b")])
    found = seen(database)
    assert ([queue.name for queue in found.queues], found.unseen) == (["a", "b"], 2 * len(places_of("a")) - 15)
    assert found.cost.commands < 2 * 15 + 20


def test_a_look_at_a_namespace_that_is_empty_finds_nothing(database):
    found = seen(database)
    assert (found.queues, found.workers, found.tickers, found.running, found.failures) == ([], [], [], [], [])


class Terminal:
    """The command on a terminal of its own, whose screen is read as text."""

    def __init__(self, url, size):
        self._primary, replica = pty.openpty()
        self.resize(size)
        self.modes = termios.tcgetattr(replica)
        environment = {**os.environ, "TERM": "xterm-256color", "JOBISTEMER_URL": url}
        for variable in ("COLUMNS", "LINES"):
            environment.pop(variable, None)
        self.process = subprocess.Popen(
            COMMAND, stdin=replica, stdout=replica, stderr=replica, env=environment, start_new_session=True
        )
        self.replica = replica
        self._heard = ""

    def resize(self, size):
        fcntl.ioctl(self._primary, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def press(self, key):
        os.write(self._primary, key.encode())

    def shows(self, pattern):
        """Read on until it shows that; what was shown before is forgotten."""
        deadline = time.monotonic() + GIVE_UP_S
        while not (match := re.search(pattern, self._heard, re.DOTALL)):
            left = deadline - time.monotonic()
            assert left > 0, f"it never showed {pattern!r}: {self._heard[-3000:]}"
            if select.select([self._primary], [], [], left)[0]:
                self._heard += os.read(self._primary, 65_536).decode(errors="replace")
        self._heard = self._heard[match.end() :]
        return match

    def ends(self):
        """Its exit code; the terminal has to be what it was."""
        code = self.process.wait(GIVE_UP_S)
        assert termios.tcgetattr(self.replica) == self.modes
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._primary)
        os.close(self.replica)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(VALKEY, tmp_path_factory.mktemp("top")) as started:
        app = Jobistemer(started)
        app.enqueue_many(app.request("work") for _ in range(3))
        yield started


@pytest.mark.process
def test_in_a_terminal_it_looks_each_second_pauses_follows_the_size_and_ends(url):
    with Terminal(url, SIZE) as terminal:
        terminal.shows(r"UTC · jobistemer top.*default\s+3 .*q ends it · p pauses")
        first = terminal.shows(r"(\d\d:\d\d:\d\d) UTC")[1]
        assert terminal.shows(r"(\d\d:\d\d:\d\d) UTC")[1] >= first
        terminal.press("p")
        terminal.shows("PAUSED.*p continues")
        # Nothing would be drawn now, were it not for the size.
        terminal.resize(LARGE)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.shows("PAUSED.*p continues")
        terminal.press("p")
        terminal.shows("UTC · jobistemer top.*p pauses")
        terminal.press("q")
        terminal.shows(r"\x1b\[\?1049l")
        assert terminal.ends() == 0


@pytest.mark.process
def test_a_job_is_selected_by_a_filter_and_paused_after_a_question(url):
    app = Jobistemer(url)
    for name in ("nightly", "hourly"):
        app.job("0 2 * * *", name=name)(lambda: None)
    app.deploy()
    with Terminal(url, LARGE) as terminal:
        terminal.shows("hourly.*nightly")
        terminal.press("1/ly")
        terminal.shows("/ly.*Enter keeps it")
        terminal.press("\r\x1b[B")
        terminal.press("P")
        terminal.shows(r"pause job nightly\? y / n")
        assert not app.control.is_paused("nightly")
        terminal.press("y")
        terminal.shows("nightly is paused")
        assert app.control.is_paused("nightly")
        terminal.press("P")
        terminal.shows(r"resume job nightly\? y / n")
        terminal.press("n")
        terminal.shows("nothing was done")
        terminal.press("\r")
        terminal.shows(r"job nightly, version 1.*every day.*Esc or Enter goes back")
        terminal.press("\x1b")
        terminal.shows("q ends it · p pauses")
        terminal.press("q")
        assert terminal.ends() == 0
    assert app.control.is_paused("nightly")
    app.control.remove("nightly")
    app.control.remove("hourly")


@pytest.mark.process
def test_while_the_server_does_not_answer_it_says_so_and_hears_what_is_pressed(url):
    server = Namespace(url).settings.ask("INFO", "server")["process_id"]
    with Terminal(url, SIZE) as terminal:
        terminal.shows("p pauses")
        os.kill(server, signal.SIGSTOP)
        try:
            terminal.shows("the server has not answered for 1 s · q ends it · p pauses")
            terminal.press("2\r")
            terminal.shows("queue default.*it is being read.*the server has not answered for")
            terminal.press("q")
            assert terminal.ends() == 0
        finally:
            os.kill(server, signal.SIGCONT)


@pytest.mark.process
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_gives_the_terminal_back_as_it_was(url, number, code):
    with Terminal(url, SIZE) as terminal:
        terminal.shows("p pauses")
        terminal.process.send_signal(number)
        terminal.shows(r"\x1b\[\?1049l")
        assert terminal.ends() == code


def test_without_a_terminal_it_is_one_page_or_one_value(url, monkeypatch):
    monkeypatch.setattr("jobistemer.cli.top.command.REFRESH_S", 0.0)
    page = CliRunner().invoke(main, ["top", "--url", url]).stdout
    assert re.search(r"^default\s+3 ", page, re.MULTILINE)
    assert "\x1b" not in page
    told = json.loads(CliRunner().invoke(main, ["top", "--json", "--url", url]).stdout)
    assert [(queue["name"], queue["waiting"]) for queue in told["seen"]["queues"]] == [("default", 3)]
    assert told["seen"]["cost"]["commands"] < 100


def test_a_server_that_goes_away_meanwhile_ends_a_single_page_with_the_reason(url, monkeypatch):
    looks = iter([True, False])
    real = monitor.take_snapshot
    monkeypatch.setattr(command, "REFRESH_S", 0.0)
    monkeypatch.setattr(
        monitor, "take_snapshot", lambda shards: real(shards) if next(looks) else _raise(NotConnected("gone"))
    )
    result = CliRunner().invoke(main, ["top", "--once", "--url", url])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: gone\n")


def _raise(error):
    raise error
