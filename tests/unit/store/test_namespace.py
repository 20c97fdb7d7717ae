"""What threads that share a namespace see of its shards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from jobistemer.store.namespace import Namespace
from tests.support.servers import empty_server


def test_threads_that_ask_for_the_shards_at_the_same_time_are_given_the_same(monkeypatch):
    # Given two threads that both find that nobody has asked yet
    empty_server("fake://namespace")
    namespace, both = Namespace("fake://namespace", "test", shards=3), Barrier(2)
    read_clock = namespace.settings.read_clock

    def together() -> int:
        both.wait(60)
        return read_clock()

    monkeypatch.setattr(namespace.settings, "read_clock", together)
    # When they go on, the one after the other
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(lambda: list(namespace.shards)) for _ in range(2))
        # Then what the one has kept by shard, the other finds
        assert list(map(id, first.result(60))) == list(map(id, second.result(60)))
    assert len(first.result()) == 3
