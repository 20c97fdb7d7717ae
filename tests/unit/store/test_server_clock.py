"""A producer that lives long keeps to the server's time, and asks for it along with what it enqueues."""

import asyncio

import pytest

from jobistemer import Jobistemer
from jobistemer.core.runs.message import decode_message
from jobistemer.store.clock import ServerClock
from jobistemer.store.namespace import Namespace
from tests.support.clocks import NOW

DAY_S = 86_400.0


class Machine:
    """A machine whose clock a test moves, and a server beside it that tells the right time."""

    def __init__(self, monkeypatch, url):
        self.steady = 0.0
        self.server_ms = NOW
        self.round_trips = []
        self.app = Jobistemer(url)
        self.clock = ServerClock(lambda: self.steady, lambda: NOW / 1000)
        self.app.namespace = self.app.producer.namespace = Namespace(url, clock=self.clock)
        client = self.app.namespace.shards[0].client
        ask, pipeline = client.execute_command, client.pipeline

        def execute(*command, **options):
            self.round_trips.append(command[0])
            return self.time() if command[0] == "TIME" else ask(*command, **options)

        def piped(**options):
            pipe = pipeline(**options)
            run = pipe.execute

            def execute_all(**options):
                told = [command[0][0] for command in pipe.command_stack]
                self.round_trips.append(told)
                answers = run(**options)
                return [self.time() if name == "TIME" else answer for name, answer in zip(told, answers, strict=True)]

            pipe.execute = execute_all
            return pipe

        monkeypatch.setattr(client, "execute_command", execute)
        monkeypatch.setattr(client, "pipeline", piped)
        # From here on the server knows the scripts.
        self.app.enqueue("first")
        self.app.enqueue_many([self.app.request("first")])
        self.round_trips.clear()

    def time(self):
        return (b"%d" % (self.server_ms // 1000), b"%d" % (self.server_ms % 1000 * 1000))

    def passes(self, seconds, *, of_which_here):
        self.server_ms += round(seconds * 1000)
        self.steady += of_which_here

    def enqueued_at(self, run):
        shard = self.app.namespace.shards[0]
        messages = [decode_message(fields[b"m"]) for _, fields in shard.client.xrange(shard.keys.stream("default:5"))]
        return next(each.enqueue_ms for each in messages if each.run == run.id)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, f"fake://{tmp_path.name}")


def test_a_call_within_ten_seconds_asks_for_nothing_else(machine):
    machine.passes(5, of_which_here=5)
    machine.app.enqueue("next")
    assert machine.round_trips == ["EVALSHA"]


def test_the_clock_is_corrected_by_a_call_in_its_own_round_trip(machine):
    # Given a machine whose clock is a second behind after half a minute
    machine.passes(30, of_which_here=29)
    machine.app.enqueue("next")
    assert machine.round_trips == [["EVALSHA", "TIME", "GET"]]
    # Then the call after it goes by the server's time
    assert machine.enqueued_at(machine.app.enqueue("then")) == machine.server_ms


def test_a_machine_that_has_slept_asks_before_it_says_when(machine):
    machine.passes(DAY_S, of_which_here=400)
    run = machine.app.enqueue("next")
    assert machine.round_trips == ["TIME", "GET", "EVALSHA"]
    assert machine.enqueued_at(run) == machine.server_ms


def test_a_batch_corrects_the_clock_too(machine):
    machine.passes(30, of_which_here=29)
    machine.app.enqueue_many([machine.app.request("next")])
    assert machine.round_trips == [["EVALSHA", "TIME", "GET"]]
    assert machine.app.namespace.clock.now_ms() == machine.server_ms


def test_a_coroutine_asks_without_blocking_its_loop(machine):
    machine.passes(DAY_S, of_which_here=400)
    asyncio.run(machine.app.enqueue_async("next"))
    assert machine.round_trips == []
    assert machine.app.namespace.clock.age_s == 0
