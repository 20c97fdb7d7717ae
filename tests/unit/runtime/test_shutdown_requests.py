"""An end that several threads find a reason for is one end in order; only a second signal makes it immediate."""

from __future__ import annotations

from jobistemer.runtime.shutdown import Shutdown


def test_an_orderly_end_may_be_requested_by_several_threads():
    shutdown = Shutdown()
    shutdown.request_order()
    shutdown.request_order()
    assert shutdown.requested.is_set()
    assert not shutdown.immediate.is_set()


def test_a_second_signal_makes_the_end_immediate():
    shutdown = Shutdown()
    shutdown.request()
    assert not shutdown.immediate.is_set()
    shutdown.request()
    assert shutdown.immediate.is_set()
