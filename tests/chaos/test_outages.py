"""The server goes away, its scripts vanish, processes start without it: nobody stops and nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import time

import pytest

from jobistemer import Jobistemer
from jobistemer.store.reads import queues, records
from tests.chaos.effect_check import EffectCheck, check_effects
from tests.chaos.system import ChaosSystem, at_rest, running_system, wait_until
from tests.support.shard_state import find_leaks

pytestmark = pytest.mark.process

HANGS_S = 7.0
"""The client waits five seconds for an answer."""
GRACE_S = 1
BUSY_S = 5
"""What a busy machine may add; without the bound a worker took 9 s beyond its grace period, and a ticker 40 s."""
AWAY_S = 10.0 if "JOBISTEMER_CHAOS_LONG" in os.environ else 2.0


def acknowledged(story: ChaosSystem) -> list[str]:
    notes = story.folder / "acknowledged"
    # The last line may be half written.
    return notes.read_text().split("\n")[:-1] if notes.exists() else []


def judged_at_rest(story: ChaosSystem) -> EffectCheck:
    database = story.database()
    wait_until("nothing waits or runs any more", lambda: at_rest(database))
    return check_effects(database, story.effects(), acknowledged(story))


def test_an_outage_of_the_server_stops_nobody_and_loses_nothing_that_was_acknowledged(tmp_path):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS="20") as story:
        # Given two tickers, two workers and a producer at work
        story.deploy()
        tickers, hands = [story.ticker(), story.ticker()], [story.worker(), story.worker()]
        producer = story.producer(str(tmp_path / "acknowledged"), "0.005")
        wait_until("work is under way", lambda: len(story.effects()) > 100 and len(acknowledged(story)) > 50)

        # When the server is killed and comes back on the same port
        story.server.kill()
        gone = time.monotonic()
        before = len(acknowledged(story))
        wait_until("the outage is over", lambda: time.monotonic() - gone >= AWAY_S)
        story.server.start()
        wait_until("the producer goes on", lambda: len(acknowledged(story)) > before + 50)
        wait_until("the instants of the outage are caught up with", lambda: len(story.effects()) > 20 * (AWAY_S + 4))

        # Then everybody is still there, ends in order, and every call and instant has its effect
        assert [process.poll() for process in [*tickers, *hands, producer]] == [None] * 5
        for process in [producer, *tickers]:
            process.terminate()
        assert [process.wait() for process in [producer, *tickers]] == [0, 0, 0]
        verdict = judged_at_rest(story)
        for hand in hands:
            hand.terminate()
        assert [hand.wait() for hand in hands] == [0, 0]
        assert (verdict.lost, verdict.duplicated, verdict.unexpected) == ([], [], [])
        assert find_leaks(story.database()) == {}
        assert story.logged_faults() == []


@pytest.mark.slow
def test_a_server_that_hangs_for_longer_than_anybody_waits_loses_nothing(tmp_path):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS="20") as story:
        # Given everybody at work
        story.deploy()
        ticker, hands = story.ticker(), [story.worker(), story.worker()]
        producer = story.producer(str(tmp_path / "acknowledged"), "0.005")
        wait_until("work is under way", lambda: len(story.effects()) > 100 and len(acknowledged(story)) > 50)

        # When the server hangs with connections open, for longer than the client's time-out and the lease
        story.server.freeze()
        hung = time.monotonic()
        before = len(acknowledged(story))
        wait_until("everybody has given up waiting", lambda: time.monotonic() - hung >= HANGS_S)
        story.server.thaw()
        wait_until("the producer goes on", lambda: len(acknowledged(story)) > before + 50)

        # Then nobody was taken for dead, and every call and instant has its effect
        for process in (producer, ticker):
            process.terminate()
            assert process.wait() == 0
        verdict = judged_at_rest(story)
        assert (verdict.lost, verdict.duplicated, verdict.unexpected) == ([], [], [])
        assert [process.poll() for process in hands] == [None, None]
        assert story.logged_faults() == []


@pytest.mark.slow
def test_scripts_that_vanish_under_load_are_loaded_again(tmp_path):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS="20") as story:
        story.deploy()
        ticker, hand = story.ticker(), story.worker()
        producer = story.producer(str(tmp_path / "acknowledged"), "0.002")
        client = story.database().client
        for goal in (50, 100, 150, 200):
            wait_until("more calls were acknowledged", lambda goal=goal: len(acknowledged(story)) > goal)
            client.script_flush()

        for process in (producer, ticker):
            process.terminate()
            assert process.wait() == 0
        verdict = judged_at_rest(story)
        hand.terminate()
        assert hand.wait() == 0
        assert verdict == EffectCheck([], [], [], 0)


def test_processes_that_find_no_server_say_what_to_do_wait_and_start_when_it_comes(tmp_path):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS="2") as story:
        # Given no server
        story.server.kill()
        ticker, hand = story.ticker(), story.worker()
        for process in (ticker, hand):
            wait_until("it says what to do", lambda each=process: "or set JOBISTEMER_URL" in story.read_log(each))

        # When it comes
        story.server.start()
        story.deploy()

        # Then they work
        wait_until("there are effects", lambda: len(story.effects()) >= 2)
        assert "Traceback" not in story.read_log(ticker) + story.read_log(hand)


def test_a_process_that_waits_for_a_server_ends_when_it_is_asked_to(tmp_path):
    with running_system(tmp_path) as story:
        story.server.kill()
        waiting = [story.ticker(), story.worker()]
        for process in waiting:
            wait_until("it waits", lambda each=process: "no Redis or Valkey server answers" in story.read_log(each))
            process.terminate()
        assert [process.wait(timeout=10) for process in waiting] == [0, 0]
        story.server.start()


@pytest.mark.slow
def test_processes_that_are_stopped_while_the_server_hangs_leave_all_the_same(tmp_path):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS="2") as story:
        # Given a worker with a call that outlasts its grace period, and a ticker
        story.deploy()
        producer, database = Jobistemer(story.server.url), story.database()
        ticker, hand = story.ticker(), story.worker("--grace", str(GRACE_S))
        run = producer.enqueue("call", {"seconds": 600})
        wait_until("it is shown as running", lambda: run.state() == "running")
        wait_until("the ticker beats", lambda: database.client.zcard(database.keys.tickers) == 1)

        # When the server hangs and both are asked to end
        story.server.freeze()
        for process in (ticker, hand):
            process.terminate()

        # Then neither waits for an answer: after 5 s, and 2 s after the grace period, with room for a busy machine
        assert hand.wait(timeout=GRACE_S + 2 + BUSY_S) == 0
        assert ticker.wait(timeout=5 + BUSY_S) == 0
        assert "could not leave in order, its lease does" in story.read_log(hand)
        assert story.logged_faults() == []

        # And the run is another worker's after the lease of the one that could not give it back
        story.server.thaw()
        successor = story.worker()
        wait_until("the run was taken over", lambda: run.record().attempt == 1)
        assert [each.state for each in records.find_attempts(database, run.record())][0] == "lost"
        successor.kill()


@pytest.mark.slow
def test_sigterm_under_load_ends_with_zero_and_hands_back_what_was_not_started(tmp_path):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS="0") as story:
        # Given one worker with slow calls in its slots and others fetched ahead
        database = story.database()
        producer = Jobistemer(story.server.url)
        producer.enqueue_many(producer.request("call", {"seconds": 0.001}) for _ in range(3000))
        first = story.worker()
        wait_until("it is busy", lambda: len(story.effects()) > 200)
        producer.enqueue_many(producer.request("call", {"seconds": 0.5}) for _ in range(20))

        # When it is asked to end
        first.terminate()
        assert first.wait(timeout=15) == 0

        # Then nothing is left with it: what it had not started waits for anybody, and it is forgotten
        assert queues.list_workers([database]) == []
        assert database.client.xpending(database.keys.stream("default:5"), "workers")[0] == 0
        done_by_first = len(story.effects())
        assert done_by_first < 3020

        # And another worker does the rest, each once
        second = story.worker("--burst")
        assert second.wait(timeout=60) == 0
        effects = story.effects()
        assert len(effects) == len({effect.run for effect in effects}) == 3020
        assert {effect.attempt for effect in effects} == {0}
        assert find_leaks(database) == {}


@pytest.mark.slow
def test_a_second_sigterm_ends_a_worker_at_once_and_its_work_goes_back_without_using_up_an_attempt(tmp_path):
    with running_system(tmp_path, JOBISTEMER_CHAOS_JOBS="0") as story:
        producer = Jobistemer(story.server.url)
        first = story.worker()
        long_ones = [producer.enqueue("call", {"seconds": 6}) for _ in range(2)]
        wait_until("they are shown as running", lambda: all(run.state() == "running" for run in long_ones))

        first.terminate()
        wait_until("it has heard the first signal", lambda: next(iter(_worker_quiet(story)), False))
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=10) == 0
        assert story.effects() == []

        story.worker()
        assert [run.result(timeout=40) for run in long_ones] == [None, None]
        assert {effect.attempt for effect in story.effects()} == {0}


def _worker_quiet(story: ChaosSystem) -> list[bool]:
    return [worker.quiet for worker in queues.list_workers([story.database()])]
