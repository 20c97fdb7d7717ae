"""The reads of roles that send no beats: pauses, holds, requests to cancel, and the first due instant."""

from jobistemer.core.planning.plan import NEVER
from jobistemer.store.calls.holds import put_hold
from jobistemer.store.calls.streams import pause_queue
from jobistemer.store.reads.pending_work import Pauses, find_next_due_ms, list_cancel_requests, read_pauses


def test_a_shard_without_pauses_and_holds_has_none(database):
    assert read_pauses(database) == Pauses(set(), frozenset())


def test_paused_queues_and_holds_are_read_until_a_hold_ends(database):
    pause_queue([database], "mail")
    put_hold([database], "task/send", database.clock.now_ms() + 60_000)
    put_hold([database], "task/old", database.clock.now_ms() - 1)
    assert read_pauses(database) == Pauses({"mail"}, frozenset({"task/send"}))


def test_a_hold_is_read_where_no_queue_is_paused(database):
    put_hold([database], "task/send", database.clock.now_ms() + 60_000)
    assert read_pauses(database) == Pauses(set(), frozenset({"task/send"}))


def test_requests_to_cancel_are_read_in_their_order(database):
    assert list_cancel_requests(database) == []
    database.ask("ZADD", database.keys.cancels, 2, "run_2", 1, "run_1")
    assert list_cancel_requests(database) == ["run_1", "run_2"]


def test_the_first_due_instant_is_none_where_no_job_is_due_again(database):
    assert find_next_due_ms(database) is None
    database.ask("ZADD", database.keys.due, NEVER * 1000, "job_over")
    assert find_next_due_ms(database) is None
    database.ask("ZADD", database.keys.due, 1_800_000_000_000, "job_daily")
    assert find_next_due_ms(database) == 1_800_000_000_000
