from collections import Counter
from random import Random

from jobistemer.worker.fetch.fetcher import QueueOrder

DRAWS = 20_000


def test_without_weights_the_queues_are_read_as_listed_and_each_by_priority_with_its_front_before():
    order = QueueOrder({"mail": 0, "default": 0})
    assert order.places() == [f"{queue}:{priority}" for queue in ("mail", "default") for priority in range(10, -1, -1)]


def test_a_paused_queue_is_known_and_not_read():
    order = QueueOrder({"mail": 0, "default": 0})
    order.paused = {"mail"}
    assert {place.partition(":")[0] for place in order.places()} == {"default"}
    assert {place.partition(":")[0] for place in order.all_places()} == {"mail", "default"}


def test_with_weights_each_queue_comes_first_as_often_as_its_weight_says():
    order = QueueOrder({"critical": 6, "default": 3, "low": 1}, Random(7))
    first = Counter(order.places()[0].partition(":")[0] for _ in range(DRAWS))
    # The standard deviation of each share is below 0.35 %; four of them leave one failure in 16,000 seeds.
    assert {queue: abs(first[queue] / DRAWS - share) < 0.014 for queue, share in SHARES.items()} == dict.fromkeys(
        SHARES, True
    )


def test_with_weights_priorities_stay_in_order_within_each_queue():
    order = QueueOrder({"critical": 6, "low": 1}, Random(7))
    for _ in range(50):
        low = [place for place in order.places() if place.startswith("low:")]
        assert low == [f"low:{priority}" for priority in range(10, -1, -1)]


def test_a_queue_of_weight_zero_among_weighted_ones_comes_last_but_is_read():
    order = QueueOrder({"critical": 6, "rest": 0}, Random(7))
    first = Counter(order.places()[0].partition(":")[0] for _ in range(1000))
    assert first["critical"] == 1000
    assert "rest:5" in order.places()


SHARES = {"critical": 0.6, "default": 0.3, "low": 0.1}
