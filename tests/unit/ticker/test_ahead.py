"""How long before an instant its claims begin, and which jobs are claimed then."""

import pytest

from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.keys import Keys
from jobistemer.ticker import upcoming as upcoming_module
from jobistemer.ticker.share import Share
from jobistemer.ticker.upcoming import MAX_LEAD_MS, MIN_LEAD_MS, DueJob, UpcomingJobs, lead_ms
from tests.support.clocks import FrozenClock
from tests.support.lifecycle import T0, decision, job

KEYS = Keys("test", 0)
HORIZON = (T0 + 600) * 1000
DUE_MS = (T0 + 60) * 1000
TICKERS = ["host.1.a", "host.2.b"]


@pytest.fixture
def upcoming():
    return UpcomingJobs(claims_ahead=True)


def add(upcoming, name, due=T0 + 60, **changes):
    due_job = DueJob(name, StoredJob(job(**changes), 1, "f", T0, "", 0), due * 1000)
    upcoming.put(due_job, HORIZON)
    return due_job


def names(due_jobs):
    return [due_job.job_id for due_job in due_jobs]


@pytest.mark.parametrize(
    ("jobs", "tickers", "lead"),
    [(1, 1, MIN_LEAD_MS), (1000, 1, MIN_LEAD_MS + 80), (500, 2, MIN_LEAD_MS + 80), (10**6, 3, MAX_LEAD_MS)],
)
def test_the_more_jobs_are_due_the_earlier_their_claims_begin(jobs, tickers, lead):
    assert lead_ms(jobs, tickers) == lead


def test_jobs_are_taken_out_a_little_before_they_are_due_and_only_once(upcoming):
    for name in "ab":
        add(upcoming, name)
    add(upcoming, "later", T0 + 61)
    upcoming.prepare_claims(KEYS)
    begin_ms = DUE_MS - MIN_LEAD_MS
    assert upcoming.next_ms() == begin_ms
    assert upcoming.pop_ahead(begin_ms - 1) == []
    assert names(upcoming.pop_ahead(begin_ms)) == ["a", "b"]
    assert upcoming.pop_ahead(begin_ms) == []
    assert upcoming.next_ms() == DUE_MS + 1000 - MIN_LEAD_MS


def test_what_is_not_plain_waits_for_its_instant(upcoming):
    add(upcoming, "plain")
    add(upcoming, "timed", occurrence_timeout_s=60)
    add(upcoming, "busy").plain = False
    upcoming.prepare_claims(KEYS)
    begin_ms = DUE_MS - MIN_LEAD_MS
    assert names(upcoming.pop_ahead(begin_ms)) == ["plain"]
    assert (upcoming.pop_ahead(begin_ms), upcoming.next_ms()) == ([], DUE_MS)
    assert sorted(names(upcoming.pop_due(DUE_MS))) == ["busy", "timed"]


def test_the_jobs_of_other_tickers_are_left_to_them():
    upcoming = UpcomingJobs(Share(TICKERS[0], TICKERS), patience_ms=5, claims_ahead=True)
    for number in range(20):
        add(upcoming, f"job-{number}")
    upcoming.prepare_claims(KEYS)
    mine = {name for name, each in upcoming.jobs.items() if each.is_mine}
    assert 0 < len(mine) < 20
    assert set(names(upcoming.pop_ahead(DUE_MS - MIN_LEAD_MS))) == mine
    assert upcoming.next_ms() == DUE_MS + 5


def test_the_more_jobs_are_due_the_later_those_of_other_tickers_are_looked_at(monkeypatch):
    monkeypatch.setattr(upcoming_module, "MS_PER_JOB", 5)
    upcoming = UpcomingJobs(Share(TICKERS[0], TICKERS), patience_ms=5, claims_ahead=True)
    found = [DueJob(f"job-{n}", StoredJob(job(), 1, "f", T0, "", 0), DUE_MS) for n in range(20)]
    # As after an instant: what this ticker has claimed is put back first.
    for due_job in sorted(found, key=lambda each: not upcoming.share.owns(each.number)):
        upcoming.put(due_job, HORIZON)
    mine = sum(due_job.is_mine for due_job in found)
    lead = lead_ms(mine, 2)
    assert lead > 50 and len(upcoming.pop_ahead(DUE_MS - lead)) == mine
    assert upcoming.next_ms() == DUE_MS + lead
    assert upcoming.pop_due(DUE_MS + lead - 1) == []
    assert len(upcoming.pop_due(DUE_MS + lead)) == 20 - mine


def test_what_can_wait_is_put_off_as_long_after_an_instant_as_its_claims_began_before(upcoming):
    add(upcoming, "a")
    clock = FrozenClock(DUE_MS - MIN_LEAD_MS)
    assert upcoming.put_off_s(clock) == 0
    upcoming.pop_ahead(clock.now_ms())
    assert upcoming.put_off_s(clock) == 2 * MIN_LEAD_MS / 1000
    clock.advance(2 * MIN_LEAD_MS / 1000)
    assert upcoming.put_off_s(clock) == 0


def test_a_clock_that_steps_back_does_not_put_off_what_can_wait(upcoming):
    add(upcoming, "a")
    upcoming.pop_ahead(DUE_MS - MIN_LEAD_MS)
    assert upcoming.put_off_s(FrozenClock(DUE_MS - 3_600_000)) == 0


def test_without_claims_ahead_an_instant_comes_up_when_it_is_due(upcoming):
    upcoming.claims_ahead = False
    add(upcoming, "a")
    assert upcoming.next_ms() == DUE_MS


def test_an_instant_that_has_come_is_not_claimed_ahead(upcoming):
    add(upcoming, "a")
    assert upcoming.pop_ahead(DUE_MS) == []
    assert names(upcoming.pop_due(DUE_MS)) == ["a"]


def test_a_job_that_was_claimed_ahead_comes_up_again_for_its_next_instant(upcoming):
    (due_job,) = [add(upcoming, "a")]
    upcoming.prepare_claims(KEYS)
    assert upcoming.pop_ahead(DUE_MS - MIN_LEAD_MS) == [due_job]
    due_job.advance(decision(T0 + 60))
    upcoming.put(due_job, HORIZON)
    assert upcoming.next_ms() == DUE_MS + 60_000 - MIN_LEAD_MS


def test_what_is_put_back_undecided_is_not_tried_again_before_it_is_due(upcoming):
    due_job = add(upcoming, "busy")
    upcoming.prepare_claims(KEYS)
    assert upcoming.pop_ahead(DUE_MS - MIN_LEAD_MS) == [due_job]
    upcoming.put(due_job, HORIZON)
    assert (upcoming.next_ms(), upcoming.pop_ahead(DUE_MS - 1)) == (DUE_MS, [])
    assert upcoming.pop_due(DUE_MS) == [due_job]
