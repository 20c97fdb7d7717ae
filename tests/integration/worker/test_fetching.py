"""What a worker takes first, on every kind of server."""

import threading
from collections import Counter
from random import Random

import pytest

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.calls import heartbeats, streams
from jobistemer.store.calls.streams import StreamReader
from jobistemer.store.continuity import Continuity
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.server.connection import connect
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.in_flight import PREFETCH_S, Prefetch, RunningAttempts
from jobistemer.worker.fetch.fetcher import Fetcher, QueueOrder
from jobistemer.worker.fetch.returner import Returner
from jobistemer.worker.fetch.worker_parts import WorkerParts
from tests.support.clocks import FrozenClock
from tests.support.lifecycle import build_ended, enqueue, finish
from tests.support.servers import VALKEY, running


class Bench:
    """A worker with room for a few runs at a time, which end when the test says so."""

    def __init__(self, database, queues_and_weights, room=1, seed=7, consumer="alice"):
        self.shutdown = Shutdown()
        self.queue_order = QueueOrder(queues_and_weights, Random(seed))
        streams.open_streams(database, self.queue_order.all_places())
        self.database = database
        self.taken = []
        self.prefetch = Prefetch(room)
        handlers = {"greet": Handler("greet", lambda: None, Options())}
        self.fetcher = Fetcher(database, consumer, self.queue_order, self.prefetch, handlers, self.shutdown)

    def step(self):
        for attempts in self.fetcher.step(block=False):
            self.taken += attempts

    def interfere(self, act):
        """Let something happen while the next read is under way, which waits for all places at once."""
        reader = self.fetcher._reader
        waiting = reader.fetch

        def fetch(*args, **options):
            act()
            return waiting(*args, **options)

        reader.fetch = fetch
        reader.places_with_more.clear()
        self.fetcher._place_count = len(self.queue_order.all_places())
        self.fetcher._must_reread = False

    def learn_that_runs_are_short(self):
        for _ in range(50):
            self.prefetch.finish([(b"s", b"0-0")], 0.0)

    def take(self):
        """The runs of one step, which end at once; each has taken so long that the room stays what it is."""
        self.taken.clear()
        self.step()
        for attempt in self.taken:
            finish(self.database, build_ended(attempt.delivery))
            self.prefetch.finish([attempt.key], PREFETCH_S)
        return [attempt.delivery.message.run for attempt in self.taken]


def test_a_higher_priority_goes_first_whatever_came_first(database):
    for priority in (0, 5, 9):
        enqueue(database, f"run_{priority}a", priority=priority)
        enqueue(database, f"run_{priority}b", priority=priority)
    bench = Bench(database, {"default": 0})
    served = [run for _ in range(6) for run in bench.take()]
    assert served == ["run_9a", "run_9b", "run_5a", "run_5b", "run_0a", "run_0b"]


def test_a_priority_that_is_used_for_the_first_time_is_served_with_the_very_next_read(database):
    for n in range(4):
        enqueue(database, f"run_{n}")
    bench = Bench(database, {"default": 0})
    assert bench.take() + bench.take() == ["run_0", "run_1"]
    enqueue(database, "run_urgent", priority=9)
    assert bench.take() == ["run_urgent", "run_2"]


def test_queues_without_weights_are_emptied_in_the_order_they_are_listed(database):
    for n in range(2):
        enqueue(database, f"run_low{n}", queue="low")
        enqueue(database, f"run_high{n}", queue="high")
    bench = Bench(database, {"high": 0, "low": 0})
    assert [run for _ in range(4) for run in bench.take()] == ["run_high0", "run_high1", "run_low0", "run_low1"]


@pytest.mark.parametrize("room", [1, 4])
def test_queues_with_weights_share_the_work_as_their_weights_say(database, room):
    shares = {"critical": 6, "default": 3, "low": 1}
    for queue in shares:
        for n in range(600):
            enqueue(database, f"run_{queue}:{n}", queue=queue)
    bench = Bench(database, shares, room)
    served = Counter()
    while served.total() < 600:
        served.update(run.removeprefix("run_").partition(":")[0] for run in bench.take())
    # Binomial with 600 draws, or 150 of four: four standard deviations of the widest share.
    allowed = 600 * 4 * (0.6 * 0.4 * room / 600) ** 0.5
    assert {queue: abs(served[queue] - weight * 60) < allowed for queue, weight in shares.items()} == dict.fromkeys(
        shares, True
    )


def test_no_more_is_taken_than_there_is_room_for_when_one_queue_is_long(database):
    for n in range(50):
        enqueue(database, f"run_{n:02}")
    bench = Bench(database, {"default": 0}, room=8)
    bench.take()
    assert len(bench.take()) == 8


def test_a_run_that_may_have_killed_a_worker_gets_a_process_of_its_own_whatever_its_task_asks_for(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")
    stream = database.keys.stream("default:5")
    ((entry, fields),) = database.ask("XRANGE", stream, "-", "+", "COUNT", 1)
    database.ask("XDEL", stream, entry)
    database.ask("XADD", stream, "*", *(part for field in {**fields, b"c": b"1"}.items() for part in field))
    bench = Bench(database, {"default": 0}, room=2)
    bench.step()
    bench.step()
    assert {each.delivery.message.run: each.needs_process for each in bench.taken} == {"run_2": False, "run_1": True}


def test_a_task_with_the_executor_process_needs_one(database):
    bench = Bench(database, {"default": 0})
    bench.fetcher._handlers["greet"] = Handler("greet", lambda: None, Options(executor="process"))
    enqueue(database, "run_1")
    bench.step()
    assert [each.needs_process for each in bench.taken] == [True]


def test_a_paused_queue_is_left_alone_until_it_is_resumed(database):
    enqueue(database, "run_1")
    bench = Bench(database, {"default": 0})
    bench.queue_order.paused = {"default"}
    assert bench.take() == []
    bench.queue_order.paused = set()
    assert bench.take() == ["run_1"]


def test_a_wait_that_is_cut_short_loses_no_entry(tmp_path):
    """Entries come while waits are being cut short: each was read, or is there for the next reader."""
    with running(VALKEY, tmp_path) as url:
        client = connect(url)
        database = Database(client, Keys("test", 0), FrozenClock(), url)
        streams.open_streams(database, ["default:5"])
        stream = database.keys.stream("default:5")
        reader, read, over = StreamReader(database, "alice"), [], threading.Event()

        def reading():
            while not over.is_set():
                read.extend(entry for _, entries in reader.fetch(["default:5"], 1, block=True) for entry, _ in entries)

        thread = start_thread(reading, "reader")
        for number in range(300):
            enqueue(database, f"run_{number}")
            reader.interrupt()
        over.set()
        while thread.is_alive():
            reader.interrupt()
            thread.join(0.001)
        pending = [each[0] for each in database.ask("XPENDING", stream, "workers", "-", "+", 1000)]
        left = [
            entry
            for _, entries in StreamReader(database, "bob").fetch(["default:5"], 1000, block=False)
            for entry, _ in entries
        ]
        assert pending == read
        assert len(read) + len(left) == 300
        client.close()


def test_what_has_no_room_any_more_when_it_arrives_goes_back_at_once_for_others(database):
    # Given a worker with room for one, whose read waits while another shard gives it something to do
    bench = Bench(database, {"default": 0})
    enqueue(database, "run_1")
    bench.interfere(lambda: bench.prefetch.add([(b"a stream of another shard", b"1-0")]))
    bench.step()

    # Then the run is not parked here: another worker takes it, and no attempt is used up
    assert bench.taken == []
    other = Bench(database, {"default": 0})
    other.step()
    assert [(each.delivery.message.run, each.delivery.attempt) for each in other.taken] == [("run_1", 0)]


def begin_long(bench, attempts, count):
    """Begin so many runs of those that were taken, as if each had been running for a second."""
    for attempt in bench.taken[:count]:
        attempts.begin(attempt, lambda: None)
        attempt.started -= 1
    del bench.taken[:count]


def test_a_worker_whose_slots_are_all_busy_with_long_runs_takes_nothing(database):
    # Given a worker whose short runs let it fetch a thousand at a time, and that has three long ones now
    attempts = RunningAttempts()
    bench = Bench(database, {"default": 0}, room=3)
    bench.prefetch._count_long = attempts.count_long
    bench.learn_that_runs_are_short()
    for n in range(3):
        enqueue(database, f"run_{n}")
    bench.step()
    begin_long(bench, attempts, 3)

    # When more comes
    enqueue(database, "run_short")
    bench.step()

    # Then another worker has it
    assert bench.taken == []
    other = Bench(database, {"default": 0})
    assert other.take() == ["run_short"]


def test_what_a_read_brings_from_a_queue_that_was_paused_meanwhile_goes_back_at_once(database):
    bench = Bench(database, {"default": 0, "mail": 0}, room=8)
    enqueue(database, "run_1")
    enqueue(database, "run_2", queue="mail")
    bench.interfere(lambda: setattr(bench.queue_order, "paused", {"default"}))
    bench.step()
    assert [each.delivery.message.run for each in bench.taken] == ["run_2"]
    assert Bench(database, {"default": 0}).take() == ["run_1"]


def test_what_a_read_brings_to_a_worker_that_was_told_to_be_quiet_meanwhile_goes_back_at_once(database):
    bench = Bench(database, {"default": 0}, room=8)
    for n in range(3):
        enqueue(database, f"run_{n}")
    bench.interfere(bench.shutdown.quiet.set)
    bench.step()
    assert (bench.taken, bench.prefetch.in_flight) == ([], 0)
    other = Bench(database, {"default": 0}, room=8)
    other.step()
    assert [(each.delivery.message.run, each.delivery.attempt) for each in other.taken] == [
        (f"run_{n}", 0) for n in range(3)
    ]


class Waiting:
    """Slots that begin nothing."""

    waiting_suspects = ()

    def __init__(self):
        self.attempts = []

    def take_waiting(self, database, allowed, before):
        late = [each for each in self.attempts[allowed:] if each.database is database and each.started < before]
        self.attempts = [each for each in self.attempts if each not in late]
        return late


@pytest.mark.parametrize("others", [0, 1])
def test_what_waits_behind_long_runs_goes_back_while_other_workers_live(database, others):
    # Given a worker with room for two that has fetched six, of which two turn out to be long
    attempts, slots = RunningAttempts(), Waiting()
    bench = Bench(database, {"default": 0}, room=2)
    bench.prefetch._count_long = attempts.count_long
    bench.learn_that_runs_are_short()
    for n in range(6):
        enqueue(database, f"run_{n}")
    bench.step()
    begin_long(bench, attempts, 2)
    slots.attempts = bench.taken
    for attempt in slots.attempts:
        attempt.started -= 1
    now_ms = database.clock.now_ms()
    for name in ["alice", "bob"][: others + 1]:
        database.call(heartbeats.beat_worker(database.keys, name, now_ms, 15_000, now_ms, b"{}", "id"))
    parts = WorkerParts(
        "alice", WorkerSettings(), {}, bench.queue_order, bench.prefetch, attempts, Shutdown(), Liveness(),
        Continuity(), DefinitionCache(),
    )  # fmt: skip
    returner = Returner(database, parts, slots)

    # When it has looked twice
    returner.step()
    assert len(slots.attempts) == 4
    returner._crowded_since -= 1
    returner.step()

    # Then they are there for the others, in their order, and no attempt is used up
    other = Bench(database, {"default": 0}, room=8, consumer="bob")
    other.step()
    returned = ["run_2", "run_3", "run_4", "run_5"] if others else []
    assert [each.delivery.message.run for each in other.taken] == returned
    assert {each.delivery.attempt for each in other.taken} <= {0}
    assert bench.prefetch.in_flight == (2 if others else 6)
