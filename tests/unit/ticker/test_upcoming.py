"""What a ticker knows of the near future."""

from __future__ import annotations

import pytest

from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.keys import Keys
from jobistemer.ticker.upcoming import DueJob, Share, UpcomingJobs
from tests.support.lifecycle import T0, decision, job

HORIZON = (T0 + 600) * 1000
KEYS = Keys("test", 0)
TICKERS = ["host.1.a", "host.2.b", "host.3.c"]


@pytest.fixture
def upcoming():
    return UpcomingJobs()


def add(upcoming, name, due):
    upcoming.put(DueJob(name, StoredJob(job(), 1, "f", T0, "", 0), due * 1000), HORIZON)


def names(due_jobs):
    return [due_job.job_id for due_job in due_jobs]


def test_a_job_is_taken_out_when_it_is_due_and_not_before(upcoming):
    add(upcoming, "a", T0 + 60)
    assert upcoming.pop_due((T0 + 60) * 1000 - 1) == []
    assert names(upcoming.pop_due((T0 + 60) * 1000)) == ["a"]
    assert upcoming.pop_due((T0 + 60) * 1000) == []


def test_the_latest_go_first(upcoming):
    for name, due in [("b", T0 + 2), ("a", T0 + 1), ("c", T0 + 3)]:
        add(upcoming, name, due)
    assert names(upcoming.pop_due((T0 + 9) * 1000)) == ["c", "b", "a"]


def test_a_job_that_was_taken_out_is_unknown_until_it_is_put_back(upcoming):
    mark = (T0 + 60) * 1000
    add(upcoming, "a", T0 + 60)
    assert upcoming.find_unknown({"a": mark}, mark) == []

    (due_job,) = upcoming.pop_due(mark)
    assert upcoming.find_unknown({"a": mark}, mark) == ["a"]

    due_job.advance(decision(T0 + 60))
    upcoming.put(due_job, HORIZON)
    assert upcoming.find_unknown({"a": (T0 + 120) * 1000}, mark) == []
    assert (due_job.cursor, upcoming.next_ms()) == (T0 + 60, (T0 + 120) * 1000)


def test_a_job_whose_mark_differs_is_to_be_read_again(upcoming):
    add(upcoming, "a", T0 + 60)
    assert upcoming.find_unknown({"a": (T0 + 30) * 1000, "b": (T0 + 5) * 1000}, T0 * 1000) == ["a", "b"]


def test_what_comes_after_the_horizon_is_for_a_later_look(upcoming):
    add(upcoming, "a", T0 + 60)
    (due_job,) = upcoming.pop_due((T0 + 60) * 1000)
    due_job.advance(decision(T0 + 600))
    upcoming.put(due_job, HORIZON)
    assert (upcoming.jobs, upcoming.next_ms()) == ({}, None)


def test_a_job_that_was_read_twice_is_taken_out_once(upcoming):
    add(upcoming, "a", T0 + 60)
    add(upcoming, "a", T0 + 60)
    assert names(upcoming.pop_due((T0 + 60) * 1000)) == ["a"]


def test_an_earlier_instant_takes_the_place_of_a_later_one(upcoming):
    add(upcoming, "a", T0 + 60)
    add(upcoming, "a", T0 + 30)
    assert names(upcoming.pop_due((T0 + 45) * 1000)) == ["a"]
    assert upcoming.pop_due((T0 + 90) * 1000) == []


def test_a_mark_that_another_ticker_has_moved_on_is_no_news_and_is_followed(upcoming):
    mark, following = (T0 + 60) * 1000, (T0 + 120) * 1000
    add(upcoming, "a", T0 + 60)
    assert upcoming.find_unknown({"a": following}, mark - 1) == ["a"]
    assert upcoming.find_unknown({"a": following}, mark) == []

    (due_job,) = upcoming.pop_due(mark)
    due_job.skip_to(following)
    assert (due_job.cursor, due_job.due_ms, due_job.prepared) == (T0 + 60, following, None)


def prepared(upcoming):
    return sorted(due_job.job_id for due_job in upcoming.jobs.values() if due_job.is_prepared)


def test_each_claim_is_built_once_for_each_due_mark(upcoming):
    add(upcoming, "a", T0 + 60)
    add(upcoming, "b", T0 + 60)
    upcoming.prepare_claims(KEYS, 1)
    assert (prepared(upcoming), upcoming.has_unprepared) == (["a"], True)
    upcoming.prepare_claims(KEYS)
    assert (prepared(upcoming), upcoming.has_unprepared) == (["a", "b"], False)

    for due_job in upcoming.pop_due((T0 + 60) * 1000):
        due_job.advance(decision(T0 + 60))
        upcoming.put(due_job, HORIZON)
    assert (prepared(upcoming), upcoming.has_unprepared) == ([], True)
    upcoming.prepare_claims(KEYS)
    assert prepared(upcoming) == ["a", "b"]


def test_a_job_that_is_put_back_or_read_anew_waits_once_for_its_claim_to_be_built(upcoming):
    for _ in range(3):
        add(upcoming, "a", T0 + 60)
    upcoming.prepare_claims(KEYS, 1)
    assert (prepared(upcoming), upcoming.has_unprepared) == (["a"], False)


def test_a_ticker_builds_ahead_the_claims_of_its_share_alone():
    built = []
    for position in range(3):
        upcoming = UpcomingJobs(Share(TICKERS[position], TICKERS))
        for number in range(30):
            add(upcoming, f"job-{number}", T0 + 60)
        upcoming.prepare_claims(KEYS)
        built += prepared(upcoming)
    assert sorted(built) == sorted(f"job-{number}" for number in range(30))


@pytest.mark.parametrize(("late_ms", "on_time"), [(0, True), (999, True), (1000, False)])
def test_what_was_made_ready_counts_for_a_second(upcoming, late_ms, on_time):
    add(upcoming, "a", T0 + 60)
    (due_job,) = upcoming.pop_due((T0 + 60) * 1000)
    due_job.prepare(KEYS)
    ready = due_job.prepared
    assert ready is not None
    assert (due_job.build_claim(KEYS, (T0 + 60) * 1000 + late_ms) is ready) is on_time


def test_within_the_grace_period_a_late_instant_is_claimed_plainly_and_beyond_it_is_not(upcoming):
    add(upcoming, "a", T0 + 60)
    (due_job,) = upcoming.pop_due((T0 + 60) * 1000)
    assert due_job.build_claim(KEYS, (T0 + 60 + 60) * 1000).decision.instant == T0 + 60
    assert due_job.build_claim(KEYS, (T0 + 60 + 60) * 1000 + 1) is None


def numbers(count):
    return [DueJob(f"job-{n}", StoredJob(job(), 1, "f", T0, "", 0), T0 * 1000).number for n in range(count)]


def test_each_job_belongs_to_one_of_the_tickers_and_they_have_about_as_many():
    shares = [Share(ticker, TICKERS) for ticker in TICKERS]
    owned = [[share.owns(number) for share in shares] for number in numbers(3_000)]
    assert {sum(each) for each in owned} == {1}
    assert all(850 < sum(column) < 1_150 for column in zip(*owned, strict=True))
    assert all(Share("alone", ["alone"]).owns(number) for number in numbers(9))


def test_a_ticker_that_leaves_hands_over_its_own_share_and_moves_no_other_job():
    for number in numbers(300):
        owner = next(ticker for ticker in TICKERS if Share(ticker, TICKERS).owns(number))
        for gone in TICKERS:
            left = [ticker for ticker in TICKERS if ticker != gone]
            heirs = [ticker for ticker in left if Share(ticker, left).owns(number)]
            assert len(heirs) == 1
            assert gone == owner or heirs == [owner]


def test_a_ticker_that_starts_takes_from_others_only_what_is_to_be_its_own():
    for number in numbers(300):
        before = next(ticker for ticker in TICKERS if Share(ticker, TICKERS).owns(number))
        more = [*TICKERS, "new"]
        assert [ticker for ticker in more if Share(ticker, more).owns(number)] in ([before], ["new"])


def test_the_jobs_of_other_tickers_come_up_when_these_have_had_their_time():
    upcoming, due_ms = UpcomingJobs(Share(TICKERS[0], TICKERS), patience_ms=100), (T0 + 60) * 1000
    for number in range(30):
        add(upcoming, f"job-{number}", T0 + 60)
    own = names(each for each in upcoming.jobs.values() if each.is_mine)
    assert sorted(names(upcoming.pop_due(due_ms + 99))) == sorted(own)
    assert upcoming.next_ms() == due_ms + 100
    assert len(upcoming.pop_due(due_ms + 100)) == 30 - len(own)


def test_a_ticker_that_is_the_last_one_waits_for_nobody():
    upcoming = UpcomingJobs(Share(TICKERS[0], TICKERS), patience_ms=100)
    for number in range(30):
        add(upcoming, f"job-{number}", T0 + 60)
    upcoming.divide(TICKERS[0], TICKERS[:1])
    assert len(upcoming.pop_due((T0 + 60) * 1000)) == 30


def test_what_is_known_is_divided_anew_when_a_ticker_has_come_or_gone(upcoming):
    for number in range(30):
        add(upcoming, f"job-{number}", T0 + 60)
    upcoming.prepare_claims(KEYS)
    assert all(due_job.is_mine for due_job in upcoming.jobs.values())

    upcoming.divide(TICKERS[0], TICKERS)
    mine = [due_job for due_job in upcoming.jobs.values() if due_job.is_mine]
    assert 0 < len(mine) < 30

    upcoming.divide(TICKERS[0], TICKERS[:1])
    assert all(due_job.is_mine for due_job in upcoming.jobs.values())
    assert len(upcoming.pop_due((T0 + 60) * 1000)) == 30
