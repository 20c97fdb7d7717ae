from benchmarks.peers.due import read_lateness

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


def marks(*starts: tuple[str, int]) -> str:
    return "".join(f"{label} 0 {wall}\n" for label, wall in starts)


def test_what_is_due_at_whole_seconds_is_late_by_the_time_since_the_second():
    text = marks(("tick", 100 * SECOND + 3 * MILLISECOND), ("tick", 101 * SECOND + 8 * MILLISECOND))
    assert read_lateness(text, 100, 2, aligned=True) == (2, [3.0, 8.0])


def test_what_started_outside_the_window_does_not_count():
    text = marks(("tick", 99 * SECOND), ("tick", 100 * SECOND), ("tick", 102 * SECOND))
    assert read_lateness(text, 100, 2, aligned=True) == (1, [0.0])


def test_what_repeats_from_anywhere_is_late_by_what_it_loses_against_its_earliest_phase():
    start = 100 * SECOND + 400 * MILLISECOND
    text = marks(("a", start), ("a", start + SECOND + 5 * MILLISECOND), ("b", start + 200 * MILLISECOND))
    assert read_lateness(text, 100, 3, aligned=False) == (3, [0.0, 0.0, 5.0])
