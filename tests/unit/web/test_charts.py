"""Timelines and Gantt charts as shapes: each bar has its place, and none lies outside of the chart."""

from hypothesis import given
from hypothesis import strategies as st

from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord, RunRecord
from jobistemer.core.runs.steps import StepView
from jobistemer.core.states import AttemptState, OccurrenceState, RunState
from jobistemer.web.charts.gantt import LEFT, WIDTH, GanttLine, build_attempts_gantt, build_gantt
from jobistemer.web.charts.timeline import MAX_COLUMNS, MAX_HEIGHT, MIN_HEIGHT, TOP, HistoryItem, build_timeline

NOW = 1_800_000_000_000


def item(number, state="completed", took=1000):
    due = NOW // 1000 - 3600 + number * 60
    record = OccurrenceRecord(
        f"occ_{number}", "job_1", 1, due, OccurrenceState(state), "why", due * 1000, due * 1000, due * 1000 + took
    )
    return HistoryItem(record, "why")


def attempt(number, start, end, state="failed"):
    return AttemptRecord(
        f"attempt_{number}", number, AttemptState(state), "alice", NOW + start, NOW + end if end else 0
    )


def test_the_longest_is_the_highest_and_what_never_ran_is_a_stub():
    shown = build_timeline([item(2, "missed"), item(1, took=4000), item(0, took=1000)], NOW)
    assert [(each.occurrence, each.height, each.tone) for each in shown.columns] == [
        ("occ_0", MAX_HEIGHT // 2, "good"),
        ("occ_1", MAX_HEIGHT, "good"),
        ("occ_2", MIN_HEIGHT, "warn"),
    ]
    assert (shown.longest, shown.half) == ("4.0 s", "1.0 s")


def test_the_newest_is_on_the_right_and_the_axis_names_it():
    shown = build_timeline([item(n) for n in reversed(range(MAX_COLUMNS))], NOW)
    assert [each.x for each in shown.columns] == sorted(each.x for each in shown.columns)
    assert shown.columns[-1].x + 14 <= shown.width
    assert shown.marks[-1].x > shown.columns[-1].x


def test_a_history_of_nothing_has_a_picture():
    assert build_timeline([], NOW).columns == []


@given(st.lists(st.tuples(st.sampled_from(list(OccurrenceState)), st.integers(-5_000, 10**10)), max_size=60))
def test_no_column_leaves_the_paper(items):
    shown = build_timeline([item(n, state, took) for n, (state, took) in enumerate(items)], NOW)
    for column in shown.columns:
        assert 0 <= column.x <= shown.width
        assert column.y >= TOP
        assert MIN_HEIGHT <= column.height <= MAX_HEIGHT


def step(name, kind, state, start, end=0, due=0, **more):
    return StepView(name, kind, state, 0, NOW + start, NOW + end if end else 0, due_at=NOW + due if due else 0, **more)


def test_steps_sleeps_and_waits_are_parts_of_the_bar():
    attempts = [attempt(0, 100, 200, "suspended"), attempt(1, 600, 0, "running")]
    steps = [
        step("charge", "step", "done", 100, 200),
        step("sleep-1", "sleep", "done", 200, due=600),
        step("mail", "step", "failed", 600, 700, error="no server\nat line 1"),
        step("approved", "wait", "waiting", 700, due=90_000),
    ]
    shown = build_gantt(
        [GanttLine("load", "/runs/run_1", NOW, attempts, "running", steps)], NOW, NOW + 1000, NOW + 1000
    )
    (row,) = shown.rows
    assert [(each.kind, each.tone, each.x, each.width) for each in row.segments] == [
        ("step", "good", LEFT + WIDTH * 0.1, WIDTH * 0.1),
        ("sleep", "wait", LEFT + WIDTH * 0.2, WIDTH * 0.4),
        ("step", "bad", LEFT + WIDTH * 0.6, WIDTH * 0.1),
        # A wait that goes on ends where the chart does, not at its time-out.
        ("wait", "wait", LEFT + WIDTH * 0.7, WIDTH * 0.3),
    ]
    assert row.segments[2].title == "step mail: failed, 100 ms\nno server"
    # Between attempts that ended suspended nothing else is drawn.
    assert row.waits == [(float(LEFT), WIDTH * 0.1)]
    assert shown.kinds == ["step", "sleep", "wait"]


def test_the_chart_of_a_run_has_a_row_for_its_steps_above_its_attempts():
    run = RunRecord("run_1", RunState.SUSPENDED, "task", "default:5", NOW)
    attempts = [attempt(0, 100, 200, "suspended")]
    shown = build_attempts_gantt(run, attempts, [step("sleep-1", "sleep", "waiting", 200, due=90_000)], NOW + 1000)
    assert [(row.label, len(row.bars), len(row.segments)) for row in shown.rows] == [
        ("steps", 1, 1),
        ("attempt 1", 1, 0),
    ]
    assert build_attempts_gantt(run, attempts, [], NOW + 1000).kinds == []


def test_bars_stand_where_attempts_ran_with_the_waits_between_them():
    shown = build_gantt(
        [
            GanttLine(
                "load", "/runs/run_1", NOW, [attempt(0, 100, 200), attempt(1, 600, 1000, "succeeded")], "succeeded"
            )
        ],
        NOW,
        NOW + 1000,
        NOW,
    )
    (row,) = shown.rows
    assert [(each.x, each.width, each.tone) for each in row.bars] == [
        (LEFT + WIDTH * 0.1, WIDTH * 0.1, "bad"),
        (LEFT + WIDTH * 0.6, WIDTH * 0.4, "good"),
    ]
    assert row.waits == [(LEFT, WIDTH * 0.1), (LEFT + WIDTH * 0.2, WIDTH * 0.4)]
    assert row.note == "succeeded · 900 ms, 2 attempts"


def test_a_task_that_never_began_says_what_became_of_it():
    (row,) = build_gantt([GanttLine("tell", "/runs/run_1", 0, [], "skipped")], NOW, NOW + 1000, NOW).rows
    assert (row.bars, row.waits, row.note) == ([], [], "skipped")


def test_what_still_runs_reaches_to_now():
    run = RunRecord("run_1", RunState.RUNNING, "task", "default:5", NOW)
    shown = build_attempts_gantt(run, [attempt(0, 0, 0, "running")], [], NOW + 5000)
    (bar,) = shown.rows[0].bars
    assert (bar.x, bar.x + bar.width) == (LEFT, LEFT + WIDTH)


@given(
    st.lists(st.tuples(st.integers(-(10**6), 10**11), st.integers(-(10**4), 10**11)), max_size=20),
    st.integers(-1000, 10**11),
)
def test_no_bar_leaves_the_paper_and_the_axis_is_short(spans, end):
    attempts = [attempt(n, start, start + length) for n, (start, length) in enumerate(spans)]
    shown = build_gantt([GanttLine("a" * 200, "/", NOW, attempts, "failed")], NOW, NOW + end, NOW + 10**11)
    for bar in shown.rows[0].bars:
        assert bar.x >= LEFT
        assert bar.x + bar.width <= LEFT + WIDTH + 3
        assert bar.width > 0
    assert len(shown.marks) <= 50
