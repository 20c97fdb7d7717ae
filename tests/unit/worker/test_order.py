"""In which order the places of a worker's queues are read."""

from __future__ import annotations

from collections import Counter

from jobistemer.worker.fetch import Order


def test_strict_order_reads_queues_as_they_are_listed():
    assert Order({"critical": 0, "default": 0, "low": 0}).places() == ["critical:5", "default:5", "low:5"]


def test_in_a_queue_the_highest_priority_comes_first():
    order = Order({"b": 0, "a": 0})
    order.learn(["a:9", "b:0", "a:5", "b:5", "b:7", "other:5"])
    assert order.places() == ["b:7", "b:5", "b:0", "a:9", "a:5"]


def test_a_paused_queue_is_not_read_and_stays_known():
    order = Order({"a": 0, "b": 0})
    order.paused = {"a"}
    assert order.places() == ["b:5"]
    assert order.known() == ["a:5", "b:5"]


def test_weights_say_how_often_a_queue_comes_first():
    order = Order({"often": 9, "seldom": 1})
    first = Counter(order.places()[0] for _ in range(2000))
    assert 1650 < first["often:5"] < 1950


def test_a_queue_of_weight_nought_comes_last_but_comes():
    order = Order({"some": 5, "none": 0})
    read = [order.places() for _ in range(200)]
    assert all(sorted(places) == ["none:5", "some:5"] for places in read)
    assert sum(places[0] == "some:5" for places in read) > 180
