from pathlib import Path

from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.page import render_page
from benchmarks.peers.results import Key, Results, Row

STORED = Path(__file__).with_name("results.jsonl")


def made() -> str:
    return render_page(Results(STORED))


def test_a_row_says_the_median_of_the_rounds_and_how_far_they_lie_apart():
    assert "| **jobistemer** | default | 45,000 (40,000–50,000) | 13 (12–14) | 12 |" in made()


def test_a_peer_that_failed_has_a_row_that_says_why():
    assert "| celery | tuned | failed: the first firing took longer than 20 s |  |  |" in made()


def test_a_table_begins_with_the_fastest_also_when_that_is_not_us():
    coroutines = made().partition("## Drain a backlog: coroutines")[2]
    assert coroutines.index("bullmq") < coroutines.index("##")
    plain = made().partition("## Drain a backlog: plain functions")[2]
    assert plain.index("**jobistemer**") < plain.index("celery | default") < plain.index("celery | tuned")


def test_work_that_nobody_has_done_has_no_table():
    assert "## 100 schedules due every second" not in made()


def test_we_are_compared_with_the_fastest_also_where_we_lose():
    assert "- 30.0 times the fastest Python peer with its defaults (celery: 1,500);" in made()
    assert "- 0.5 times BullMQ, tuned (bullmq: 90,000);" in made()


def test_the_page_names_machine_versions_settings_and_guarantees_of_every_peer():
    text = made()
    assert "A Processor, 2 cores, Linux 6.1.0, Python 3.11.7, Node v20.20.2, Redis 7.0.15" in text
    assert "| celery | 5.7.0 |" in text
    guarantees = text.partition("## Guarantees of each")[2]
    assert all(f"\n| {peer.name} | {peer.guarantee['delivery']}" in guarantees for peer in PEERS)


def test_results_are_taken_up_again_where_a_run_stopped(tmp_path):
    key = Key("drain plain", "rq", "tuned", "one core")
    first = Results(tmp_path / "results.jsonl")
    first.add(Row(key, 0, {"runs/s": 500.0}))
    first.add(Row(key, 1, failed="no answer"))
    again = Results(tmp_path / "results.jsonl")
    assert again.rows == first.rows
    assert [again.has(key, number) for number in range(3)] == [True, True, False]
    assert again.last(key) == {"runs/s": 500.0}
