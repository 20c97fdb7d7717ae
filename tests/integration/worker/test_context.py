"""What a handler learns from its context and does by it, with a real worker on every kind of server."""

import logging
import threading
from datetime import UTC, datetime

import msgspec
import pytest

from jobistemer import NO_RETRIES, Context, Delays, Retry
from jobistemer.core import ids
from jobistemer.core.handlers.attempt_log import LogLine, Progress
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.calls import attempt_log
from jobistemer.store.reads import records as views
from tests.support.apps import drain_queues, empty_app, running_worker, shard_of
from tests.support.lifecycle import decision
from tests.support.shard_state import records, ttl_ms

WAIT = 60


@pytest.fixture
def app(server_url):
    return empty_app(server_url)


def texts(found):
    return [line.text for line in found.lines]


def test_a_handler_is_told_the_facts_of_its_attempt(app):
    told = []

    @app.task(retry=Delays((0.0,)))
    def once_more(ctx: Context, name: str) -> None:
        told.append(ctx)
        if ctx.attempt == 0:
            raise Retry("again")

    before = datetime.now(UTC)
    run = once_more.options(metadata={"trace": "7"}).enqueue(name="ada")
    drain_queues(app)
    first, second = told
    assert (first.run, first.handler, first.metadata) == (run.id, "once_more", {"trace": "7"})
    assert (first.attempt, second.attempt) == (0, 1)
    assert (first.fencing_token, second.fencing_token) == (1, 2)
    assert second.attempt_id == ids.attempt_id(run.id, 1)
    assert abs((first.due_at - before).total_seconds()) < 5
    assert (first.job, first.occurrence, first.stands_for, first.last_run_at) == (None, None, (), None)


def test_lines_and_progress_are_stored_with_the_attempt_and_go_with_it(app):
    @app.task(retention_s=3600)
    def chatty(ctx: Context) -> None:
        ctx.log("for the record only", level="debug")
        ctx.logger.info("row %d of %s", 1, "ten")
        ctx.logger.warning("careful")
        ctx.progress(1, 10, "rows")

    run = chatty.enqueue()
    drain_queues(app)
    attempt = ids.attempt_id(run.id, 0)
    found = attempt_log.read_attempt_log(shard_of(app), attempt)
    assert [(line.n, line.level, line.text) for line in found.lines] == [
        (0, "debug", "for the record only"),
        (1, "info", "row 1 of ten"),
        (2, "warning", "careful"),
    ]
    assert (found.written, found.progress) == (3, Progress(1, 10, "rows"))
    hour = 3_600_000
    assert ttl_ms(shard_of(app), f"log:{attempt}") == ttl_ms(shard_of(app), f"attempt:{attempt}") == hour


def test_notes_can_be_read_while_the_handler_runs(app):
    seen, go_on = threading.Event(), threading.Event()

    @app.task
    def slow(ctx: Context) -> None:
        ctx.log("begun")
        seen.set()
        assert go_on.wait(WAIT)
        ctx.log("ended")

    run = slow.enqueue()
    attempt = ids.attempt_id(run.id, 0)
    with running_worker(app):
        assert seen.wait(WAIT)
        while not (live := attempt_log.read_attempt_log(shard_of(app), attempt)).lines:
            pass
        assert texts(live) == ["begun"]
        go_on.set()
        run.result(timeout=WAIT)
    assert texts(attempt_log.read_attempt_log(shard_of(app), attempt, after=1)) == ["ended"]


def test_only_the_last_lines_are_kept_as_many_as_there_is_room_for(app):
    @app.task
    def flood(ctx: Context) -> None:
        for n in range(5000):
            ctx.log(f"line {n}")

    run = flood.enqueue()
    drain_queues(app)
    found = attempt_log.read_attempt_log(shard_of(app), ids.attempt_id(run.id, 0))
    first = found.lines[0].n
    assert [line.n for line in found.lines] == list(range(first, 5000))
    assert (4000 <= first < 4100, found.written) == (True, 5000)


def test_lines_are_bounded_by_their_size_too(app):
    @app.task
    def wide(ctx: Context) -> None:
        for _ in range(300):
            ctx.log("x" * 10_000)

    run = wide.enqueue()
    drain_queues(app)
    found = attempt_log.read_attempt_log(shard_of(app), ids.attempt_id(run.id, 0))
    stored = shard_of(app).client.lrange(shard_of(app).keys.log(ids.attempt_id(run.id, 0)), 0, -1)
    assert sum(map(len, stored)) <= 64 * 1024
    assert 15 <= len(found.lines) < 18
    assert all(len(line.text) < 4_050 and line.text.endswith("(10000 characters)") for line in found.lines)


def test_what_cannot_be_formatted_is_logged_as_such_and_costs_nothing(app):
    class Broken:
        def __str__(self):
            raise ValueError

    @app.task
    def careless(ctx: Context) -> str:
        logging.raiseExceptions = False
        ctx.logger.info("%d rows", "many")
        ctx.logger.info("%s", Broken())
        return "done"

    run = careless.enqueue()
    drain_queues(app)
    logging.raiseExceptions = True
    assert run.result(0) == "done"
    assert all(
        "cannot be formatted" in text
        for text in texts(attempt_log.read_attempt_log(shard_of(app), ids.attempt_id(run.id, 0)))
    )


def test_an_exception_that_is_logged_is_stored_with_its_trace(app):
    @app.task
    def risky(ctx: Context) -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            ctx.logger.exception("not found")

    run = risky.enqueue()
    drain_queues(app)
    (line,) = attempt_log.read_attempt_log(shard_of(app), ids.attempt_id(run.id, 0)).lines
    assert line.level == "error"
    assert line.text.startswith("not found\nTraceback") and "KeyError: 'lost'" in line.text


def test_log_records_carry_the_run(app, caplog):
    @app.task
    def chatty(ctx: Context) -> None:
        ctx.logger.info("hello")

    run = chatty.enqueue()
    with caplog.at_level(logging.INFO, "jobistemer.run"):
        drain_queues(app)
    (record,) = [each for each in caplog.records if each.name == "jobistemer.run"]
    assert record.facts == {"run": run.id, "task": "chatty", "attempt": 0}


@pytest.mark.parametrize("colour", ["thread", "coroutine"])
def test_a_handler_sees_that_it_was_cancelled_and_why(app, colour):
    begun, seen = threading.Event(), []
    ended = threading.Event()

    def note(ctx):
        seen.append((ctx.canceled, ctx.ending, ctx.cancel_reason))
        ended.set()

    if colour == "thread":

        @app.task(name="patient")
        def patient(ctx: Context) -> None:
            assert (ctx.canceled, ctx.ending, ctx.cancel_reason) == (False, "", "")
            begun.set()
            try:
                while not ctx.canceled:
                    pass
            finally:
                note(ctx)
    else:

        @app.task(name="patient")
        async def patient(ctx: Context) -> None:
            import asyncio

            begun.set()
            try:
                await asyncio.sleep(WAIT)
            finally:
                note(ctx)

    run = patient.enqueue()
    from jobistemer.store.actions import cancel

    with running_worker(app):
        assert begun.wait(WAIT)
        while cancel.cancel_run(shard_of(app), run.id, "test") == "BUSY":
            pass
        assert ended.wait(WAIT)
    assert seen == [(True, "canceled", "test")]
    assert run.state() is RunState.CANCELED


def test_a_handler_sees_that_its_worker_shuts_down_and_may_end_in_time(app):
    begun = threading.Event()

    @app.task
    def patient(ctx: Context) -> str:
        begun.set()
        while not ctx.canceled:
            pass
        return ctx.ending

    run = patient.enqueue()
    with running_worker(app) as shutdown:
        assert begun.wait(WAIT)
        shutdown.request()
        assert run.result(timeout=WAIT) == "shutdown"


def test_the_task_of_a_job_is_told_when_the_job_ran_before(app):
    told = []

    @app.job("* * * * *", name="report", grace_s=86_400 * 366)
    def report(ctx: Context) -> None:
        told.append((ctx.due_at, ctx.last_run_at))

    app.deploy()
    stored, database = app.control.find("report"), shard_of(app)
    from jobistemer.store.calls import occurrences

    for n, state in ((1, "pending"), (2, "skipped"), (3, "pending")):
        at = stored.cursor + n
        decided = msgspec.structs.replace(decision(at, state), expected=at - 1)
        reply = database.call(occurrences.claim(database.keys, stored.job, 1, decided, at * 1000))
        assert reply.word == "CLAIMED"
        drain_queues(app)
    (first_due, before_first), (second_due, before_second) = told
    assert before_first is None
    assert before_second == first_due
    assert (second_due - first_due).total_seconds() == 2


def test_the_lines_of_an_interrupted_attempt_stay_and_can_die(app):
    hold = threading.Event()

    @app.task
    def doomed(ctx: Context) -> None:
        ctx.log("before the end")
        hold.wait(WAIT)

    run = doomed.enqueue()
    attempt = ids.attempt_id(run.id, 0)
    with running_worker(app, grace_s=0.0):
        while not attempt_log.read_attempt_log(shard_of(app), attempt).lines:
            pass
    state = records(shard_of(app))
    assert isinstance(msgspec.json.decode(state[f"log:{attempt}"][0], type=LogLine), LogLine)
    assert ttl_ms(shard_of(app), f"log:{attempt}") > 0
    hold.set()


def test_a_handler_called_here_and_now_gets_a_context_that_stands_for_one(app):
    @app.task
    def double(ctx: Context, number: int) -> int:
        ctx.log("local")
        ctx.progress(1)
        ctx.transaction.write("INCRBY", "count", 1)
        ctx.logger.info("fine")
        return number * 2 + ctx.attempt

    assert double(21) == 42
    assert double(number=21) == 42


def test_an_attempt_record_counts_its_lines(app):
    @app.task
    def chatty(ctx: Context) -> None:
        ctx.log("one")

    run = chatty.enqueue()
    drain_queues(app)
    (attempt,) = views.find_attempts(shard_of(app), run.record())
    assert (attempt.state, attempt.lines) == (AttemptState.SUCCEEDED, 1)


def test_what_a_handler_says_about_itself_never_ends_it(app):
    # Half of a surrogate pair, as `os.listdir` gives for a name that is no UTF-8, NUL, and a text of 10 MB
    @app.task
    def talk(ctx: Context) -> str:
        ctx.log("half \udcff, nul \0")
        ctx.log("half \ud83d")
        ctx.progress(1, 2, "n" * 10_000_000)
        ctx.log("x" * 10_000_000)
        return "said"

    run = talk.enqueue()
    drain_queues(app)
    assert run.result(timeout=60) == "said"
    found = attempt_log.read_attempt_log(shard_of(app), ids.attempt_id(run.id, 0))
    assert [line.text for line in found.lines[:2]] == ["half \\udcff, nul \0", "half \\ud83d"]
    assert found.lines[2].text == "x" * 4_000 + " … (10000000 characters)"
    assert found.progress == Progress(1.0, 2.0, "n" * 4_000 + " … (10000000 characters)")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "1", None, True])
def test_a_progress_that_is_no_number_is_refused_by_name(app, wrong):
    @app.task(retry=NO_RETRIES)
    def talk(ctx: Context) -> None:
        ctx.progress(wrong)

    run = talk.enqueue()
    drain_queues(app)
    assert "InvalidInput: progress: done is" in run.record().error


def test_the_reason_of_a_cancel_is_kept_though_it_has_half_a_character(app):
    run = app.enqueue("nothing")
    run.cancel("half \udc80")
    assert run.record().error == "canceled: half \\udc80"
