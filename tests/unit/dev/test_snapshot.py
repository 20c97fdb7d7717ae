"""Events, rate and screen that `jobistemer dev` derives from snapshots, which are values: no process runs here."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from jobistemer.core.reads.summaries import DelayedRun, JobSummary, QueueSummary, WorkerSummary
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import OccurrenceState, RunState
from jobistemer.dev.event_log import EventLog
from jobistemer.dev.screen import render_screen
from jobistemer.dev.snapshot import RunRate, Snapshot
from tests.support.clocks import NOW

JOB = JobSummary("index", "job_1", 1, "every 10 seconds", "", "", 0, NOW + 4_000, 1, 0, None)
LIVE = OccurrenceRecord("occ_1", "job_1", 1, NOW // 1000, OccurrenceState.PENDING, "fired on time", NOW + 20)
RETRY = DelayedRun(
    "run_1", "index.report", "default:5", NOW + 1000, 1, "7 files are missing\n  File x", RunState.SCHEDULED
)
SNAPSHOT = Snapshot(
    at_ms=NOW,
    jobs=[JOB],
    occurrences=[LIVE],
    queues=[QueueSummary("default", 120, 16, 1, False, {5: 120})],
    delayed=1,
    waiting=[RETRY],
    workers=[WorkerSummary("alice", NOW - 100, done=10), WorkerSummary("bob", NOW - 100, done=20)],
    tickers=[],
)


def later(ms=1_000, **changes):
    return msgspec.structs.replace(SNAPSHOT, at_ms=NOW + ms, **changes)


def with_done(ms, **done):
    return later(ms, workers=[WorkerSummary(name, NOW, done=count) for name, count in done.items()])


def test_an_occurrence_is_reported_when_it_begins_and_when_it_ends_and_never_twice():
    event_log = EventLog()
    began, _ = event_log.new_events(SNAPSHOT)
    assert began == "08:00:00 index of 08:00:00 pending: fired on time"
    assert list(event_log.new_events(later())) == []
    over = msgspec.structs.replace(LIVE, state=OccurrenceState.COMPLETED, ended_at=NOW + 2_520)
    assert list(event_log.new_events(later(3_000, occurrences=[over]))) == [
        "08:00:03 index of 08:00:00 completed in 2.5 s: fired on time"
    ]


def test_a_retry_is_reported_once_per_attempt_with_the_first_line_of_its_reason():
    event_log = EventLog()
    (retry,) = [line for line in event_log.new_events(SNAPSHOT) if "tried again" in line]
    assert retry == "08:00:00 index.report is tried again: 7 files are missing"
    assert list(event_log.new_events(later())) == []
    again = msgspec.structs.replace(RETRY, attempt=2)
    assert len(list(event_log.new_events(later(waiting=[again])))) == 1


def test_the_status_is_reported_every_three_seconds():
    event_log = EventLog()
    assert list(event_log.status_lines(SNAPSHOT, 1234.4)) == [
        "08:00:00 · default 120 waiting, 16 in flight | 1 delayed | 1234 runs/s | workers 2 | next index at 08:00:04"
    ]
    assert list(event_log.status_lines(later(2_999), 0.0)) == []
    assert len(list(event_log.status_lines(later(3_000), 0.0))) == 1


def test_the_summary_counts_ends_by_state():
    event_log = EventLog()
    missed = msgspec.structs.replace(LIVE, id="occ_2", state=OccurrenceState.MISSED)
    list(event_log.new_events(later(occurrences=[missed, LIVE])))
    assert list(event_log.summary()) == [
        "occurrences: 1 missed, 1 not ended",
        "attempts: 30, of which 1 were seen to fail and wait for a retry",
    ]


def test_the_rate_counts_the_runs_of_the_last_seconds():
    run_rate = RunRate()
    assert run_rate.update(with_done(0, alice=100)) == 0
    assert run_rate.update(with_done(1_000, alice=300)) == 200
    assert run_rate.update(with_done(2_000, alice=300)) == 100
    assert [round(run_rate.update(with_done(ms, alice=300))) for ms in (3_000, 4_000, 5_000)] == [67, 0, 0]


def test_a_worker_that_comes_or_goes_does_not_distort_the_rate():
    run_rate = RunRate()
    run_rate.update(with_done(0, alice=1_000, bob=50))
    assert run_rate.update(with_done(1_000, bob=60, carol=5_000)) == 10


@pytest.mark.parametrize("height", [30, 45])
def test_a_full_screen_keeps_within_the_terminal(height):
    many = [msgspec.structs.replace(LIVE, id=f"occ_{n}", reason="because " * 60) for n in range(50)]
    full = later(
        occurrences=many, jobs=[JOB] * 12, queues=SNAPSHOT.queues * 9, waiting=[RETRY] * 6, workers=SNAPSHOT.workers * 9
    )
    console = Console(width=100, height=height)
    with console.capture() as captured:
        console.print(render_screen(full, "heading", ["event " * 80] * 99, height))
    assert len(captured.get().splitlines()) <= height


def test_text_of_a_task_cannot_move_the_cursor():
    evil = msgspec.structs.replace(LIVE, reason="\x1b[2J[bold]gone")
    console = Console(width=120, height=45, color_system=None)
    with console.capture() as captured:
        console.print(render_screen(later(occurrences=[evil]), "heading", [], 45))
    assert "\x1b[2J" not in captured.get()
    assert "\\x1b[2J[bold]gone" in captured.get()
