"""What a worker takes first, on every kind of server."""

import threading
from collections import Counter
from random import Random

import pytest

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.runtime.repeat import start_thread
from jobistemer.store.calls import streams
from jobistemer.store.calls.streams import StreamReader
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.server.connection import connect
from jobistemer.worker.attempts.prefetch import PREFETCH_S, Prefetch
from jobistemer.worker.fetch.fetcher import Fetcher
from jobistemer.worker.fetch.queue_order import QueueOrder
from tests.support.clocks import FrozenClock
from tests.support.lifecycle import build_ended, enqueue, finish
from tests.support.servers import VALKEY, running


class Bench:
    """A worker with room for a few runs at a time, which end when the test says so."""

    def __init__(self, database, queues_and_weights, room=1, seed=7):
        self.queue_order = QueueOrder(queues_and_weights, Random(seed))
        streams.open_streams(database, self.queue_order.all_places())
        self.database = database
        self.taken = []
        self.prefetch = Prefetch(room)
        handlers = {"greet": Handler("greet", lambda: None, Options())}
        self.fetcher = Fetcher(database, "alice", self.queue_order, self.prefetch, handlers)

    def step(self):
        for attempts in self.fetcher.step(block=False):
            self.taken += attempts

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
        left = [entry for _, entries in StreamReader(database, "bob").fetch(["default:5"], 1000, block=False) for entry, _ in entries]
        assert pending == read
        assert len(read) + len(left) == 300
        client.close()


def test_what_has_no_room_any_more_when_it_arrives_goes_back_at_once_for_others(database):
    # Given a worker with room for one, whose read waits while another shard gives it something to do
    bench = Bench(database, {"default": 0})
    enqueue(database, "run_1")
    reader, waiting = bench.fetcher._reader, bench.fetcher._reader.fetch

    def fetch(*args, **options):
        bench.prefetch.add([(b"a stream of another shard", b"1-0")])
        return waiting(*args, **options)

    reader.fetch = fetch
    bench.fetcher._places_with_more.clear()
    bench.fetcher._place_count = len(bench.queue_order.all_places())
    bench.step()

    # Then the run is not parked here: another worker takes it, and no attempt is used up
    assert bench.taken == []
    other = Bench(database, {"default": 0})
    other.step()
    assert [(each.delivery.message.run, each.delivery.attempt) for each in other.taken] == [("run_1", 0)]
