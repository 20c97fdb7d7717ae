"""Tickers and workers as real processes; some are killed, one is a zombie; what came of it is judged from outside."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from jobistemer.core.reads.summaries import WorkerSummary
from jobistemer.store.reads import queues
from tests.chaos.effect_check import check_effects
from tests.chaos.system import ChaosSystem, at_rest, running_system, wait_until
from tests.support.shard_state import find_leaks

pytestmark = pytest.mark.process

LONG = "JOBISTEMER_CHAOS_LONG" in os.environ
JOBS, SECONDS = (200, 30) if LONG else (40, 8)


def occurrences(story: ChaosSystem) -> int:
    database = story.database()
    return sum(database.client.zcard(key) for key in database.client.scan_iter(f"{database.keys.tag}:history:*"))


def workers(story: ChaosSystem) -> dict[int, WorkerSummary]:
    return {worker.pid: worker for worker in queues.list_workers([story.database()])}


def dead(story: ChaosSystem, process: subprocess.Popen[bytes]) -> bool:
    """Whether the others have taken over a worker's work and forgotten it."""
    return process.pid not in workers(story)


def test_no_instant_and_no_effect_is_lost_when_tickers_and_workers_die(tmp_path, record_property):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS=str(JOBS)) as story:
        # Given three tickers, three workers and jobs that are due every second
        story.deploy()
        tickers = [story.ticker() for _ in range(3)]
        hands = [story.worker() for _ in range(3)]
        wait_until("all workers beat", lambda: len(workers(story)) == 3)
        wait_until("a quarter of the time is over", lambda: occurrences(story) >= JOBS * SECONDS // 4)

        # When one ticker and one worker are killed, and another worker is stopped for longer than its lease
        tickers[0].kill()
        hands[0].kill()
        hands[1].send_signal(signal.SIGSTOP)
        wait_until("the killed worker is dead to the others", lambda: dead(story, hands[0]))
        wait_until("the stopped worker is dead to the others", lambda: dead(story, hands[1]))
        hands[1].send_signal(signal.SIGCONT)
        wait_until("the zombie beats again", lambda: not dead(story, hands[1]))
        wait_until("the time is over", lambda: occurrences(story) >= JOBS * SECONDS)
        for ticker in tickers[1:]:
            ticker.terminate()
        assert [ticker.wait() for ticker in tickers] == [-signal.SIGKILL, 0, 0]

        # Then everything comes to rest, and nothing was lost or done twice without a lost attempt that explains it
        database = story.database()
        wait_until("nothing waits or runs any more", lambda: at_rest(database))
        for hand in hands[1:]:
            hand.terminate()
        assert [hand.wait() for hand in hands] == [-signal.SIGKILL, 0, 0]
        verdict = check_effects(database, story.effects())
        record_property("figures", f"{occurrences(story)} occurrences, {verdict.recovered} lost attempts recovered")
        assert (verdict.lost, verdict.duplicated, verdict.unexpected) == ([], [], [])
        assert find_leaks(database) == {}
        assert story.logged_faults() == []
