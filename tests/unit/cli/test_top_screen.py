"""What `jobistemer top` shows of a moment, and of two; moments are values, so nothing runs here."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from rich.console import Console

from jobistemer.cli.top.parts import Part, Row, Target, build_parts
from jobistemer.cli.top.rates import Flow, Rates, compute_rates
from jobistemer.cli.top.screen import render_screen, share_lines
from jobistemer.cli.top.snapshot import Cost, TopFailure, TopSnapshot
from jobistemer.cli.top.view import ALL, View
from jobistemer.core.reads.summaries import JobSummary, TickerSummary, WorkerSummary
from jobistemer.store.reads.queues_snapshot import InFlightRun, QueueSnapshot
from jobistemer.terminal.keyboard import DOWN, UP, split_keys
from tests.support.clocks import NOW

QUEUE = QueueSnapshot("default", 1_200, 9, NOW - 90_000, 5_000, paused=False, draining=False)
WORKER = WorkerSummary("web-1.7.aa", NOW - 400, queues={"default": 0}, concurrency=8, in_flight=9, done=100, failed=3)
TICKER = TickerSummary("web-1.8.bb", NOW - 400, fired=10, late_ms_max=900_000, late_ms_recent=12, offset_ms=-1_500)
LOOK = TopSnapshot(
    at_ms=NOW,
    queues=[QUEUE],
    unseen=0,
    workers=[WORKER],
    tickers=[TICKER],
    running=[InFlightRun("run_1", "resize", "default", "web-1.7.aa", 2_500)],
    failures=[
        TopFailure(NOW + 4_000, "run_2", "send[red]\x1b[2J", "default", dead=False, error="ValueError: [bold]no\n at")
    ],
    delayed=7,
    dead=1_001,
    jobs=1,
    next_due=NOW + 3_000,
    cost=Cost(42, 1.5),
)
NOTHING = TopSnapshot(NOW, [], 0, [], [], [], [], 0, 0, 0, None, Cost(9, 0.4))


def later(ms=1_000, **changes):
    return msgspec.structs.replace(LOOK, at_ms=NOW + ms, **changes)


def shown(look, rates_=Rates(), width=200, height=None):
    console = Console(width=width, height=height or 25, highlight=False, markup=False, color_system=None)
    with console.capture() as captured:
        console.print(render_screen(look, rates_, "here", " the foot", height), end="")
    return [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]


def test_everything_of_a_moment_is_on_the_screen():
    lines = shown(
        LOOK, Rates({"default": Flow(12.0, 3.5)}, {"web-1.7.aa": 250.4}, {"web-1.7.aa": 0.5}, {"web-1.8.bb": 2.0})
    )
    assert lines[:2] == [
        " 08:00:00 UTC · here",
        "1,001 dead · 250 runs/s, 0 failed/s · 1 worker, 8 of 8 slots in use · 7 delayed · 1 job, next due in 3.0 s",
    ]
    words = [" ".join(line.split()) for line in lines]
    assert "default 1,200 1 min 30 s 9 12 3.5 open" in words
    assert "web-1.7.aa 8 of 8 9 250 0.5 400 ms ago default" in words
    assert "web-1.8.bb 2 12 ms -1,500 ms 0 400 ms ago" in words
    assert "resize 2.5 s default web-1.7.aa …run_1" in words
    assert words[-1] == "the foot"


def test_what_a_task_is_called_and_what_it_says_can_neither_colour_nor_move_anything():
    (line,) = [line for line in shown(LOOK) if "run_2" in line]
    assert "\x1b" not in line
    assert "[red]" in line
    assert "ValueError: [bold]no" in line
    assert " at" not in line.partition("no")[2]


def test_where_there_is_nothing_it_says_what_to_start():
    text = "\n".join(shown(NOTHING))
    assert "no queue yet" in text
    assert "start one with `jobistemer-worker`" in text
    assert "so nothing becomes due; start one with `jobistemer-ticker`" in text
    assert "0 dead · 0 runs/s, 0 failed/s · 0 workers, 0 of 0 slots in use · 0 delayed · 0 jobs" in text


@pytest.mark.parametrize("width", [20, 60, 80, 200])
@pytest.mark.parametrize("height", [6, 9, 12, 18, 24, 60])
def test_it_fits_into_any_terminal(width, height):
    many = later(
        queues=[msgspec.structs.replace(QUEUE, name=f"queue-{number}") for number in range(30)],
        running=[InFlightRun(f"run_{number}" * 9, "resize", "default", "web", 5) for number in range(20)],
        failures=[TopFailure(NOW, "run_2" * 9, "send", "default", dead=True, error="no " * 99)] * 20,
    )
    lines = shown(many, width=width, height=height)
    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width
    assert lines[-1].startswith(" the foot")


def test_streams_that_were_left_out_are_counted():
    assert "12 streams of queues not looked at" in shown(later(unseen=12))[1]
    assert "not looked at" not in shown(LOOK)[1]


def test_what_is_cut_off_is_counted_and_the_busiest_queue_is_not():
    idle = [msgspec.structs.replace(QUEUE, name=f"a-{number}", waiting=0, in_flight=0) for number in range(30)]
    lines = shown(later(queues=[*idle, QUEUE]), height=24)
    assert any(line.startswith("default") for line in lines)
    rows = sum(line.startswith("a-") for line in lines)
    assert f"… {30 - rows} more" in lines


@pytest.mark.parametrize(
    ("wants", "room", "given"),
    [
        ([3, 1], 10, [3, 1]),
        ([9, 1, 9], 7, [3, 1, 3]),
        ([9, 9], 5, [3, 2]),
        ([5, 5], 0, [0, 0]),
        ([5], -3, [0]),
        ([], 4, []),
    ],
)
def test_lines_are_shared_so_that_those_who_want_little_get_it(wants, room, given):
    assert share_lines(wants, room) == given


def test_the_flow_of_a_queue_is_what_came_and_went_between_two_looks():
    queue = msgspec.structs.replace(QUEUE, waiting=1_300, taken=5_300)
    assert compute_rates(LOOK, later(2_000, queues=[queue]), Rates()).flows == {"default": Flow(200.0, 150.0)}


def test_what_is_purged_neither_came_nor_went():
    assert compute_rates(LOOK, later(queues=[msgspec.structs.replace(QUEUE, waiting=0)]), Rates()).flows == {
        "default": Flow(0, 0)
    }


def test_an_old_server_that_does_not_count_and_a_new_queue_have_no_flow_yet():
    old = msgspec.structs.replace(QUEUE, taken=None)
    new = msgspec.structs.replace(QUEUE, name="new")
    assert compute_rates(later(0, queues=[old]), later(queues=[old, new]), Rates()).flows == {}


def test_members_are_counted_between_their_own_beats_and_keep_their_rate_until_the_next():
    beaten = msgspec.structs.replace(WORKER, beat_at=NOW + 100, done=200, failed=4)
    first = compute_rates(LOOK, later(workers=[beaten]), Rates())
    assert (first.runs, first.failed) == ({"web-1.7.aa": 200.0}, {"web-1.7.aa": 2.0})
    same = later(2_000, workers=[beaten])
    assert compute_rates(later(workers=[beaten]), same, first).runs == first.runs
    assert compute_rates(later(workers=[beaten]), later(workers=[]), first).runs == {}
    assert compute_rates(NOTHING, later(), Rates()).runs == {}


def rows_of(view, height=12):
    busy = later(running=[InFlightRun(f"run_{n}", f"task-{n}", "default", "web", 5) for n in range(30)])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render_screen(busy, Rates(), "here", "the foot", height, view))
    text = console.export_text()
    assert "queue   waiting" not in text
    return [int(name) for name in re.findall(r"task-(\d+)", text)]


def test_one_table_is_shown_alone_and_its_window_follows_the_selected_row():
    assert rows_of(View(5)) == [0, 1, 2, 3, 4, 5]
    assert rows_of(View(5, 5)) == [0, 1, 2, 3, 4, 5]
    assert rows_of(View(5, 9)) == [4, 5, 6, 7, 8, 9]
    assert rows_of(View(5, 99))[-1] == 29
    assert rows_of(View(5, filter="TASK-2")) == [2, 20, 21, 22, 23, 24]


JOB = JobSummary("nightly", "job_1", 1, "at 02:00 (UTC)", "", "", 0, NOW + 3_000, 0, 0, None)


def test_jobs_are_shown_with_their_next_instant_and_schedule():
    paused = msgspec.structs.replace(JOB, name="held", paused="paused by ana")
    words = [" ".join(line.split()) for line in shown(later(0, upcoming=[JOB, paused]))]
    assert "nightly in 3.0 s – 0 waiting at 02:00 (UTC)" in words
    assert "held in 3.0 s – 0 paused at 02:00 (UTC)" in words


@pytest.mark.parametrize(
    ("keys", "view"),
    [
        ("3", View(3)),
        ("3\t", View(4)),
        ("6\t", ALL),
        ("5jjk", View(5, 1)),
        ("5kk", View(5)),
        ("j", View(1, 1)),
        ("5/na\x7fo x\r", View(5, 0, "no x")),
        ("/1q", View(0, 0, "1q", types=True)),
        ("/ab\x1b", ALL),
        ("/ab\r\x1b", ALL),
        ("9zZ", ALL),
        ("2ss", View(2, sort=2)),
        ("s", View(1, sort=1)),
        ("2s3", View(3)),
    ],
)
def test_keys_choose_a_table_a_row_and_a_filter(keys, view):
    found = ALL
    for key in keys:
        found = found.press(key)
    assert found == view


def test_the_selected_row_says_what_keys_are_about():
    parts = build_parts(later(0, upcoming=[JOB]), Rates())
    assert View(1).find_target(parts) == Target("job", "nightly")
    assert View(6).find_target(parts) == Target("run", "run_2")
    assert View(2, 7).find_target(parts) == Target("queue", "default")
    assert ALL.find_target(parts) is None
    assert View(1, filter="nobody").find_target(parts) is None


def test_a_terminal_sends_arrows_as_sequences():
    assert list(split_keys("a\x1b[A\x1b[B\x1bOA\x1b[5~\x1b")) == ["a", UP, DOWN, UP, "\x1b"]


@pytest.mark.parametrize(
    ("column", "order"),
    [
        (0, ["b", "c", "a"]),
        (1, ["a", "b", "c"]),
        (2, ["c", "a", "b"]),
        (3, ["b", "a", "c"]),
        (4, ["a", "b", "c"]),
    ],
)
def test_rows_are_sorted_by_a_column_numbers_and_times_from_the_largest_down(column, order):
    cells = {
        "b": ("b", "20", "1 min 18 s", "open"),
        "c": ("c", "1,000", "35 ms ago", "–"),
        "a": ("a", "3 of 8", "2.0 s", "12 h"),
    }
    cells["a"] = ("a", "300", "2.0 s", "12 h")
    part = Part(
        ("name", "waiting", "oldest", "state"), [Row(each, Target("queue", each[0])) for each in cells.values()], ""
    )
    found = part.sorted_by(column)
    assert [row.target.id for row in found.rows] == order
    assert [head for head in found.headings if head.endswith("↓")] == (
        [f"{part.headings[column - 1]} ↓"] if column else []
    )


def test_after_the_last_column_the_rows_are_in_their_own_order_again():
    parts = build_parts(later(0, upcoming=[JOB, msgspec.structs.replace(JOB, name="aaa")]), Rates())
    names = [[row.target.id for row in View(1, sort=sort).choose(parts)[0].rows] for sort in (0, 1, 7)]
    assert names == [["nightly", "aaa"], ["aaa", "nightly"], ["nightly", "aaa"]]
