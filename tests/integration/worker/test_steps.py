"""Durable handlers in the test kit: steps, sleeps, waits, versions, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import msgspec
import pytest

from jobistemer import (
    NO_RETRIES,
    Context,
    Delays,
    Exponential,
    Fail,
    InvalidDefinition,
    InvalidPayload,
    InvalidStep,
    Jobistemer,
    JobistemerError,
    Reminder,
    Retry,
    RunEnded,
    RunFailed,
    Snooze,
    StepFailed,
)
from jobistemer.control.changes import ChangeList
from jobistemer.core import ids
from jobistemer.core.states import RunState
from jobistemer.store.calls.attempt_log import read_attempt_log
from jobistemer.store.reads.durable.questions import list_questions
from jobistemer.store.reads.durable.steps import list_steps
from jobistemer.testing import under_test
from jobistemer.worker.execute.step_recorder import DirectRecorder
from tests.support.apps import shard_of


class Approval(msgspec.Struct):
    yes: bool
    note: str = ""


class Account(msgspec.Struct):
    number: int
    since: datetime


@pytest.fixture
def app():
    return Jobistemer("redis://127.0.0.1:1/0")


@pytest.fixture
def jobs(app):
    with under_test(app, at="2026-03-01T08:00:00Z") as found:
        yield found


@pytest.fixture
def ledger():
    return []


def test_a_handler_sleeps_and_waits_and_repeats_no_step(app, jobs, ledger):
    def create(customer: str) -> Account:
        ledger.append(f"create {customer}")
        return Account(7, datetime(2026, 3, 1, tzinfo=UTC))

    def mail(customer: str) -> None:
        ledger.append(f"mail {customer}")

    @app.task
    def onboard(customer: str, ctx: Context) -> str:
        account = ctx.step("create-account", create, customer)
        assert isinstance(account, Account)
        ctx.step("welcome-mail", mail, customer)
        ctx.sleep(timedelta(days=3))
        answer = ctx.wait_for("approved", Approval, timeout=timedelta(days=7))
        return f"{account.number} {answer}"

    run = onboard.enqueue("ann")
    jobs.run_until_idle()
    assert run.record().state is RunState.SUSPENDED
    jobs.advance(days=2, hours=23)
    assert run.record().wait == ""
    jobs.advance(hours=1)
    assert run.record().wait == "approved"
    app.signal(run, "approved", Approval(yes=True))
    jobs.run_until_idle()
    assert run.result() == "7 Approval(yes=True, note='')"
    assert ledger == ["create ann", "mail ann"]
    assert run.record().attempt == 2


def test_a_wait_times_out_with_none(app, jobs):
    @app.task
    def wait(ctx: Context) -> bool:
        return ctx.wait_for("approved", Approval, timeout=3600) is None

    run = wait.enqueue()
    jobs.advance(minutes=59)
    assert run.state() is RunState.SUSPENDED
    jobs.advance(minutes=1)
    assert run.result() is True


def test_a_short_wait_and_a_short_sleep_hold_the_slot(app, jobs):
    @app.task
    def wait(ctx: Context) -> bool:
        ctx.sleep(0.01)
        return ctx.wait_for("approved", timeout=0.02) is None

    run = wait.enqueue()
    assert jobs.run_until_idle() == 1
    assert run.result() is True
    assert run.record().attempt == 0


def test_a_signal_that_came_before_its_wait_is_taken_and_the_oldest_comes_first(app, jobs):
    @app.task
    def wait(ctx: Context) -> list[int]:
        return [ctx.wait_for("number", int, key=1), ctx.wait_for("number", int, key=2)]

    run = wait.enqueue()
    assert app.signal(run.id, "number", 5, signal_id="a")
    assert not app.signal(run.id, "number", 5, signal_id="a")
    assert app.signal(run.id, "number", 6)
    assert jobs.run_until_idle() == 1
    assert run.result() == [5, 6]


def test_a_signal_that_came_early_and_does_not_fit_is_dropped_with_a_line_and_the_wait_goes_on(app, jobs, caplog):
    @app.task
    def wait(ctx: Context) -> int:
        return ctx.wait_for("number", int)

    run = wait.enqueue()
    app.signal(run, "number", "many", signal_id="early")
    with caplog.at_level("WARNING", "jobistemer.run"):
        jobs.run_until_idle()
    assert run.state() is RunState.SUSPENDED
    (line,) = caplog.messages
    assert line.startswith("signal early does not fit wait 'number' and is dropped: Expected `int`, got `str`")
    stored = read_attempt_log(app.namespace.shards[0], ids.attempt_id(run.id, 0))
    assert [each.text for each in stored.lines] == [line]
    app.signal(run, "number", 3)
    jobs.run_until_idle()
    assert run.result() == 3


@pytest.mark.parametrize("broken", [False, True])
def test_a_wait_reminds_at_its_times_until_it_is_answered_and_uses_up_no_retry(app, jobs, ledger, broken):
    def remind(reminder: Reminder) -> None:
        ledger.append((reminder.number, reminder.signal, reminder.due_at - reminder.asked_at))
        if broken:
            raise OSError("the mail server is away")

    @app.task(retry=NO_RETRIES)
    def wait(ctx: Context) -> bool | None:
        return ctx.wait_for(
            "approved",
            bool,
            timeout=timedelta(days=9),
            ask="Fine?",
            remind=[timedelta(days=1), 3 * 86_400],
            on_remind=remind,
        )

    run = wait.enqueue()
    jobs.advance(hours=23)
    assert ledger == []
    jobs.advance(days=4)
    assert ledger == [(number, "approved", timedelta(days=9)) for number in (1, 2)]
    (question,) = list_questions(app.namespace.shards)
    assert question.question.due_at - question.question.asked_at == 9 * 86_400_000
    app.signal(run, "approved", True)
    jobs.advance(hours=1)
    assert run.result() is True
    assert len(ledger) == 2


def test_a_reminder_without_a_function_is_a_warning_and_the_last_of_late_ones_stands_for_all(app, jobs, caplog):
    @app.task(retry=NO_RETRIES)
    def wait(ctx: Context) -> None:
        ctx.wait_for("approved", bool, timeout=3 * 86_400, remind=timedelta(hours=20))

    run = wait.enqueue()
    jobs.run_until_idle()
    app.queues.pause("default")
    jobs.advance(days=2)
    app.queues.resume("default")
    with caplog.at_level("WARNING", "jobistemer.run"):
        jobs.run_until_idle()
        jobs.advance(days=2)
    assert [each.rpartition(": ")[2] for each in caplog.messages] == ["reminder 2", "reminder 3"]
    assert run.result() is None


def test_a_value_that_does_not_fit_the_wait_is_refused_where_it_is_sent_by_every_sender(app, jobs):
    @app.task
    def wait(ctx: Context) -> bool:
        return ctx.wait_for("approved", Approval).yes

    run = wait.enqueue()
    jobs.run_until_idle()
    # Another application, which does not know the task.
    other = Jobistemer("redis://127.0.0.1:1/0")
    other.namespace = app.namespace
    for value, why in (({"note": "fine"}, r"\$ has no field 'yes'"), ({"yes": 1}, r"\$.yes is 1, allowed is boolean")):
        with pytest.raises(InvalidPayload, match=f"signal 'approved' does not fit the wait of run {run.id}: {why}"):
            other.signal(run, "approved", value)
    assert run.record().signals == ""
    assert other.signal(run, "approved", {"yes": True})
    jobs.run_until_idle()
    assert run.result() is True


def test_a_task_declares_the_types_of_its_signals_and_its_app_refuses_before_the_run_waits(app, jobs):
    @app.task(signals={"approved": Approval})
    def wait(ctx: Context) -> bool:
        ctx.sleep(60)
        return ctx.wait_for("approved", Approval).yes

    run = wait.enqueue()
    jobs.run_until_idle()
    with pytest.raises(
        InvalidPayload, match=r"signal 'approved' does not fit the type that its task declares: .*`yes`"
    ):
        app.signal(run, "approved", {"no": True})
    app.signal(run, "approved", Approval(yes=True))
    jobs.advance(minutes=1)
    assert run.result() is True


@pytest.mark.parametrize("signals", [{"approved": print}, {":approved": int}, [int]])
def test_types_of_signals_that_cannot_be_are_refused_where_the_task_is_declared(app, signals):
    with pytest.raises(InvalidDefinition, match="approved|allowed are types by name"):

        @app.task(signals=signals)
        def wait(ctx: Context) -> None: ...


def test_a_signal_with_an_author_is_on_the_list_of_changes_once(app, jobs):
    @app.task
    def wait(ctx: Context) -> int:
        return ctx.wait_for("number", int)

    run = wait.enqueue()
    jobs.run_until_idle()
    for _ in range(2):
        app.signal(run, "number", 1, signal_id="s1", by="ann@ops")
    app.signal(run, "other", 2)
    (change,) = ChangeList(app.namespace).list()
    assert (change.by, change.what, change.target, change.note) == ("ann@ops", "signal run", run.id, "number")


def test_a_run_is_found_by_its_unique_key(app, jobs):
    @app.task
    def wait(ctx: Context) -> int:
        return ctx.wait_for("number", int)

    run = wait.options(unique="customer 7").enqueue()
    jobs.run_until_idle()
    app.signal("customer 7", "number", 3)
    jobs.run_until_idle()
    assert run.result() == 3
    with pytest.raises(RunEnded, match="is succeeded: it takes no signal 'number' any more"):
        app.signal(run, "number", 4)


def test_coroutines_have_the_same_steps_also_side_by_side(app, jobs, ledger):
    async def double(number: int) -> int:
        ledger.append(number)
        await asyncio.sleep(0)
        return 2 * number

    @app.task
    async def work(ctx: Context) -> list[int]:
        found = await asyncio.gather(*(ctx.step_async("double", double, n, key=n) for n in range(3)))
        await ctx.sleep_async(60)
        plain = await ctx.step_async("plain", max, 3, 4)
        assert await ctx.version_async("change-1")
        return [*found, plain, await ctx.wait_for_async("number", int)]

    run = work.enqueue()
    jobs.advance(minutes=2)
    app.signal(run, "number", 9)
    jobs.run_until_idle()
    assert run.result() == [0, 2, 4, 4, 9]
    assert sorted(ledger) == [0, 1, 2]


def test_a_task_group_that_is_suspended_within_goes_on_later(app, jobs, ledger):
    async def note() -> None:
        ledger.append("done")

    @app.task
    async def work(ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step_async("note", note))
            group.create_task(ctx.sleep_async(60))
        return "ok"

    run = work.enqueue()
    jobs.advance(minutes=2)
    assert run.result() == "ok"
    assert ledger == ["done"]


def test_a_step_that_is_being_recorded_while_a_sibling_suspends_the_run_is_not_repeated(app, jobs, ledger, monkeypatch):
    # Given a record that is written only when the group has been cancelled
    asked, canceled, write = threading.Event(), threading.Event(), DirectRecorder.write

    def write_late(recorder, *given):
        asked.set()
        assert canceled.wait(60)
        return write(recorder, *given)

    monkeypatch.setattr(DirectRecorder, "write", write_late)

    async def watch() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            canceled.set()

    @app.task
    async def work(ctx: Context) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(watch())
                group.create_task(ctx.step_async("note", ledger.append, "done"))
                await asyncio.to_thread(asked.wait, 60 if ctx.attempt == 0 else 0)
                await ctx.sleep_async(60)
                watching.cancel()
        finally:
            # The attempt ends with what is recorded by now.
            ledger.append("end of the attempt")
        return "ok"

    run = work.enqueue()
    jobs.advance(minutes=2)
    assert run.result() == "ok"
    assert ledger == ["done", "end of the attempt", "end of the attempt"]


def test_a_failed_attempt_goes_on_behind_its_last_step(app, jobs, ledger):
    @app.task(retry=Exponential(max_retries=3))
    def work(ctx: Context) -> int:
        value = ctx.step("once", lambda: ledger.append("once") or 7)
        if ctx.attempt < 2:
            raise ValueError("not yet")
        return value

    run = work.enqueue()
    jobs.advance(minutes=5, raise_on_failure=False)
    assert run.result() == 7
    assert ledger == ["once"]


def test_retries_of_a_step_are_its_own(app, jobs, ledger):
    def flaky() -> int:
        ledger.append("try")
        if len(ledger) < 4:
            raise OSError("busy")
        return 7

    @app.task(retry=NO_RETRIES)
    def work(ctx: Context) -> int:
        return ctx.step("flaky", flaky, retry=Delays((0.001, 60, 3600)))

    run = work.enqueue()
    jobs.run_until_idle()
    assert ledger == ["try", "try"]
    assert run.record().state is RunState.SUSPENDED
    assert "busy" in run.record().note
    jobs.advance(hours=2)
    assert run.result() == 7
    assert len(ledger) == 4


def test_a_step_that_is_out_of_retries_raises_its_error(app, jobs):
    def fail() -> None:
        raise OSError("busy")

    @app.task(retry=NO_RETRIES)
    def work(ctx: Context) -> None:
        ctx.step("fail", fail, retry=Delays((0,)))

    run = work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    with pytest.raises(RunFailed, match="OSError: busy"):
        run.result()


def test_a_failed_step_that_the_handler_went_on_without_fails_again_when_it_is_replayed(app, jobs, ledger):
    def fail() -> None:
        ledger.append("fail")
        raise OSError("busy")

    @app.task
    def work(ctx: Context) -> list[str]:
        caught = []
        try:
            ctx.step("fail", fail)
        except OSError as error:
            caught.append(type(error).__name__ if ctx.attempt == 0 else f"again {isinstance(error, StepFailed)}")
        ctx.step("note", lambda: None)
        ctx.sleep(60)
        return caught

    run = work.enqueue()
    jobs.advance(minutes=2)
    assert run.result() == ["again True"]
    assert ledger == ["fail"]


def test_a_step_that_takes_too_long_is_stopped(app, jobs):
    def hang() -> None:
        while True:
            threading.Event().wait(0.005)

    @app.task(retry=NO_RETRIES)
    def work(ctx: Context) -> str:
        try:
            ctx.step("hang", hang, timeout_s=0.05)
        except TimeoutError as error:
            return str(error)
        return "never"

    run = work.enqueue()
    jobs.run_until_idle()
    assert run.result() == "it took longer than 0.05 s"


def test_a_cursor_is_there_after_a_failure(app, jobs, ledger):
    def export(ctx: Context, pages: int) -> int:
        for page in range(ctx.step.cursor or 0, pages):
            ledger.append(page)
            ctx.step.cursor = page + 1
            if page == 2 and ctx.attempt == 0:
                raise OSError("busy")
        return pages

    @app.task(retry=NO_RETRIES)
    def work(ctx: Context) -> int:
        return ctx.step("export", export, ctx, 5, retry=Delays((60,)))

    run = work.enqueue()
    jobs.advance(minutes=2)
    assert run.result() == 5
    assert ledger == [0, 1, 2, 3, 4]


def test_writes_of_a_step_are_applied_with_its_record_and_once(app, jobs):
    @app.task
    def work(ctx: Context) -> None:
        def pay() -> int:
            ctx.transaction.write("INCRBY", "paid", 5)
            ctx.transaction.enqueue(other.request())
            return 1

        ctx.step("pay", pay)
        ctx.sleep(60)
        raise Fail("in the end")

    @app.task
    def other() -> None:
        pass

    work.enqueue()
    jobs.advance(minutes=2, raise_on_failure=False)
    database = app.namespace.shards[0]
    assert database.client.get(database.keys.own("paid")) == b"5"
    assert len(jobs.enqueued(other)) == 1


def test_what_a_step_collects_is_dropped_when_it_fails(app, jobs):
    @app.task(retry=NO_RETRIES)
    def work(ctx: Context) -> None:
        def pay() -> None:
            ctx.transaction.write("INCRBY", "paid", 5)
            raise OSError("busy")

        ctx.step("pay", pay)

    work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    database = app.namespace.shards[0]
    assert database.client.get(database.keys.own("paid")) is None


def test_a_run_that_puts_itself_off_uses_up_no_retry(app, jobs):
    @app.task(retry=NO_RETRIES)
    def work(ctx: Context) -> int:
        if ctx.attempt < 3:
            raise Snooze("not open yet", after=timedelta(hours=1))
        return ctx.attempt

    run = work.enqueue()
    jobs.run_until_idle()
    assert run.record().state is RunState.SCHEDULED
    assert run.record().note == "snoozed: not open yet"
    jobs.advance(hours=4)
    assert run.result() == 3
    assert run.record().snoozes == 3


def test_the_record_of_a_run_that_sleeps_says_until_when(app, jobs):
    @app.task
    def work(ctx: Context) -> None:
        ctx.sleep(60)

    run = work.enqueue()
    jobs.run_until_idle()
    record = run.record()
    # The sleep began within the second in which it was enqueued: the clock of the test stands still.
    assert (record.state, record.due_at) == (RunState.SUSPENDED, record.enqueued_at + 60_000)
    assert asyncio.run(run.record_async()) == record
    jobs.advance(minutes=1)
    assert (run.record().state, run.record().due_at) == (RunState.SUCCEEDED, 0)


def test_versions_tell_runs_apart_that_began_before_a_change(app, jobs):
    changed = []

    @app.task
    def work(ctx: Context) -> str:
        ctx.step("first", lambda: None)
        is_new = ctx.version("change-7") if changed else None
        ctx.step("second", lambda: None)
        ctx.sleep(60)
        return str(is_new)

    old = work.enqueue()
    jobs.run_until_idle()
    changed.append(True)
    new = work.enqueue()
    jobs.advance(minutes=2)
    assert (old.result(), new.result()) == ("False", "True")
    order = ["first", ":version change-7", "second", "sleep-1"]
    for run in (old, new):
        assert [each.name for each in list_steps(shard_of(app), run.id)] == order


@pytest.mark.parametrize("guarded", [True, False])
def test_a_step_that_is_added_in_front_of_recorded_ones_stays_there_in_all_later_attempts(app, jobs, ledger, guarded):
    changed = []

    @app.task(retry=NO_RETRIES)
    def work(ctx: Context) -> int:
        ctx.step("first", ledger.append, 1)
        # A change may be called as the step that it adds.
        if changed and (not guarded or ctx.version("added")):
            ctx.step("added", ledger.append, 2)
        ctx.step("second", ledger.append, 3)
        for number in range(3):
            ctx.sleep(60)
            ctx.step("later", ledger.append, 4 + number, key=number)
        return ctx.attempt

    run = work.enqueue()
    jobs.run_until_idle()
    changed.append(True)
    jobs.advance(minutes=5)
    assert run.result() == 3
    assert ledger == [1, 3, *([] if guarded else [2]), 4, 5, 6]
    del ledger[:]
    later = work.enqueue()
    jobs.advance(minutes=5)
    assert later.result() == 3
    assert ledger == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("step", ["nothing", "another order"])
def test_steps_that_do_not_fit_any_more_end_the_run_with_the_difference(app, jobs, step):
    changed = []

    @app.task
    def work(ctx: Context) -> None:
        if not changed:
            ctx.step("a", lambda: None)
            ctx.step("b", lambda: None)
        elif step == "another order":
            ctx.step("b", lambda: None)
            ctx.step("a", lambda: None)
        if not changed:
            ctx.sleep(60)

    run = work.enqueue()
    jobs.run_until_idle()
    changed.append(True)
    jobs.advance(minutes=2, raise_on_failure=False)
    record = run.record()
    assert record.state is RunState.DEAD
    said = {
        "nothing": "without asking for 'a', 'b', 'sleep-1', which earlier attempts have done",
        "another order": "step 'b' is asked for before 'a', which was done before it on record",
    }
    assert said[step] in record.error


def test_a_difference_that_the_handler_swallows_ends_the_run_all_the_same(app, jobs):
    changed = []

    @app.task
    def work(ctx: Context) -> None:
        for name in ("b", "a") if changed else ("a", "b"):
            with contextlib.suppress(InvalidStep):
                ctx.step(name, lambda: None)
        if not changed:
            ctx.sleep(60)

    run = work.enqueue()
    jobs.run_until_idle()
    changed.append(True)
    jobs.advance(minutes=2, raise_on_failure=False)
    assert run.state() is RunState.DEAD


def test_a_handler_that_swallows_its_suspension_fails_and_says_so(app, jobs, ledger):
    @app.task
    def work(ctx: Context) -> str:
        try:
            ctx.sleep(60)
        except BaseException:
            ledger.append("swallowed")
        try:
            ctx.step("later", ledger.append, "later")
        except Exception as error:
            ledger.append(str(error))
        return "done"

    run = work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    assert run.state() is RunState.DEAD
    assert "its handler went on and returned" in run.record().error
    assert ledger == ["swallowed", "this attempt is over, it was suspended: sleeps"]


def nested(ctx):
    ctx.step("outer", lambda: ctx.step("inner", lambda: None))


def twice(ctx):
    ctx.step("same", lambda: None)
    ctx.step("same", lambda: None)


async def coroutine() -> int:
    return 1


def generator():
    yield 1


def sleeper(ctx):
    ctx.step("outer", ctx.sleep, 5)


MISUSES = {
    "a step within a step": (nested, "step 'inner' is asked for within step 'outer'"),
    "a sleep within a step": (sleeper, "step 'sleep-1' is asked for within step 'outer'"),
    "a name twice": (twice, "'same' is asked for twice in one attempt: tell the two apart by key="),
    "a coroutine function": (lambda ctx: ctx.step("c", coroutine), "await ctx.step_async"),
    "what returns a coroutine": (
        lambda ctx: ctx.step("c", partial(lambda make: make(), coroutine)),
        "a coroutine: use ctx.step_async",
    ),
    "a generator": (lambda ctx: ctx.step("g", generator), "what cannot be recorded"),
    "a lambda that is not one": (lambda ctx: ctx.step("x", 7), "has no function to call, but 7"),
    "a name of control characters": (lambda ctx: ctx.step("a\nb", int), "the name of a step is 'a\\nb'"),
    "a name that is none": (lambda ctx: ctx.step("", int), "the name of a step is ''"),
    "a name that is too long": (lambda ctx: ctx.step("x" * 201, int), "the name of a step is"),
    "a key of a wrong type": (lambda ctx: ctx.step("x", int, key=1.5), "the key of a step is 1.5"),
    "a value that JSON cannot say": (lambda ctx: ctx.step("x", float, "nan"), "what cannot be recorded"),
    "a value of one MB": (lambda ctx: ctx.step("x", lambda: "x" * 1_000_000), "the result has 1000002 bytes"),
    "an object": (lambda ctx: ctx.step("x", object), "what cannot be recorded"),
    "a reminder at no time": (lambda ctx: ctx.wait_for("x", on_remind=print), "on_remind is given and remind is not"),
    "too many reminders": (
        lambda ctx: ctx.wait_for("x", remind=range(1, 9)),
        "remind is range(1, 9), allowed are a duration",
    ),
    "a reminder in no time": (
        lambda ctx: ctx.wait_for("x", remind=[0]),
        "wait_for: remind is 0, allowed are 1 and more",
    ),
    "a reminder that is no function": (lambda ctx: ctx.wait_for("x", remind=5, on_remind="ops"), "on_remind is 'ops'"),
    "a sleep of a wrong type": (lambda ctx: ctx.sleep("soon"), "ctx.sleep is 'soon'"),
    "a sleep of a century": (lambda ctx: ctx.sleep(timedelta(days=36_600)), "allowed are at most"),
    "a sleep without a zone": (lambda ctx: ctx.sleep(until=datetime(2026, 1, 1)), "has no time zone"),
    "a sleep without anything": (lambda ctx: ctx.sleep(), "give one of the two"),
    "a wait for a type that JSON has not": (lambda ctx: ctx.wait_for("x", object()), "cannot be read from JSON"),
    "a retry that is none": (lambda ctx: ctx.step("x", int, retry=3), "retry is 3, allowed are Exponential"),
    "a time-out that is none": (lambda ctx: ctx.step("x", int, timeout_s=-1), "timeout_s is -1"),
    "a cursor outside of a step": (lambda ctx: ctx.step.cursor, "belongs to a step"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_a_wrong_use_ends_the_run_with_words_and_is_not_repeated(app, jobs, name):
    use, said = MISUSES[name]

    @app.task
    def work(ctx: Context) -> None:
        use(ctx)

    run = work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    record = run.record()
    assert (record.state, record.attempt) == (RunState.DEAD, 0)
    assert said in record.error


def test_sys_exit_within_a_step_fails_the_attempt_and_records_nothing(app, jobs, ledger):
    def leave() -> None:
        ledger.append("leave")
        if len(ledger) == 1:
            sys.exit(3)

    @app.task
    def work(ctx: Context) -> str:
        ctx.step("leave", leave)
        return "ok"

    run = work.enqueue()
    jobs.advance(minutes=1, raise_on_failure=False)
    assert run.result() == "ok"
    assert ledger == ["leave", "leave"]


@pytest.mark.parametrize("error", [Fail("no"), Retry("later", after=60), Snooze(after=60)])
def test_what_a_step_raises_to_decide_about_its_run_decides(app, jobs, error):
    tries = []

    def decide() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise error
        return "ok"

    @app.task
    def work(ctx: Context) -> str:
        return ctx.step("decide", decide, retry=Exponential())

    run = work.enqueue()
    jobs.advance(minutes=2, raise_on_failure=False)
    assert run.state() is (RunState.FAILED if isinstance(error, Fail) else RunState.SUCCEEDED)
    assert len(tries) == (1 if isinstance(error, Fail) else 2)


def test_a_step_in_a_thread_of_the_handler_is_a_step(app, jobs, ledger):
    @app.task
    def work(ctx: Context) -> None:
        threads = [
            threading.Thread(target=ctx.step, args=("note", ledger.append, n), kwargs={"key": n}) for n in range(3)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        ctx.sleep(60)

    run = work.enqueue()
    jobs.advance(minutes=2)
    assert run.result() is None
    assert sorted(ledger) == [0, 1, 2]


def test_a_thousand_steps_are_read_back_in_one_go(app, jobs, ledger):
    @app.task
    def work(ctx: Context) -> int:
        found = sum(ctx.step("one", lambda: ledger.append(1) or 1, key=n) for n in range(1_000))
        ctx.sleep(60)
        return found

    run = work.enqueue()
    jobs.advance(minutes=2)
    assert run.result() == 1_000
    assert len(ledger) == 1_000


def test_results_come_back_as_their_annotation_says_also_the_first_time(app, jobs):
    def number() -> Decimal:
        return Decimal("1.50")

    def pair() -> tuple[int, str]:
        return 1, "a"

    seen = []

    @app.task
    def work(ctx: Context) -> None:
        seen.append((ctx.step("number", number), ctx.step("pair", pair), ctx.step("any", lambda: (1, 2))))
        ctx.sleep(60)

    run = work.enqueue()
    jobs.advance(minutes=2)
    assert run.result() is None
    assert seen == [(Decimal("1.50"), (1, "a"), [1, 2])] * 2


def test_a_handler_that_is_called_directly_does_its_steps(app, jobs):
    @app.task
    def work(ctx: Context) -> int:
        ctx.sleep(3600)
        assert ctx.wait_for("x", timeout=5) is None
        assert ctx.version("change")
        return ctx.step("double", lambda: 14)

    assert work() == 14


def test_a_suspended_run_is_canceled_within_its_wait(app, jobs):
    @app.task
    def work(ctx: Context) -> None:
        ctx.wait_for("never")

    run = work.enqueue()
    jobs.run_until_idle()
    assert run.cancel("not wanted")
    assert run.state() is RunState.CANCELED
    with pytest.raises(RunEnded):
        app.signal(run, "never")
    jobs.advance(days=1)
    assert run.state() is RunState.CANCELED


def test_a_task_of_a_job_sleeps_and_its_deadline_goes_on_counting(app, jobs):
    @app.job("0 9 * * *", occurrence_timeout_s=7200)
    def report(ctx: Context) -> None:
        ctx.sleep(timedelta(hours=1 if ctx.due_at.day == 1 else 3))

    jobs.advance(days=2)
    assert [(each.at.day, each.state) for each in jobs.occurrences(report)] == [(1, "completed"), (2, "timed_out")]


def test_the_kit_tells_which_steps_a_run_has(app, jobs):
    @app.task
    def work(ctx: Context) -> None:
        ctx.step("double", lambda: 14)
        ctx.sleep(60)
        ctx.wait_for("number", int)

    run = work.enqueue()
    jobs.run_until_idle()
    assert jobs.assert_step(run, "double", result=14).attempt == 0
    jobs.assert_step(run, "sleep-1", state="waiting")
    with pytest.raises(AssertionError, match=r"no step 'number'; on record are: double \(done\), sleep-1 \(waiting\)"):
        jobs.assert_step(run, "number")
    with pytest.raises(AssertionError, match="step 'double' has the result 14, and not 15"):
        jobs.assert_step(run, "double", result=15)
    jobs.advance(minutes=1)
    with pytest.raises(AssertionError, match="step 'number' is waiting, and not done"):
        jobs.assert_step(run, "number")
    assert jobs.signal(run, "number", 3) == 1
    jobs.assert_step(run.id, "number", result=3)


def test_what_is_performed_by_itself_is_not_suspended(app, jobs):
    @app.task
    def work(ctx: Context) -> None:
        ctx.sleep(60)

    with pytest.raises(JobistemerError, match="was suspended: sleeps; enqueue it, and advance the clock"):
        jobs.perform(work)


@pytest.mark.parametrize("end", ["fails", "is canceled", "is canceled as a coroutine"])
def test_steps_are_undone_in_reverse_order_when_a_run_ends_without_success(app, jobs, ledger, end):
    def undo(number: int) -> None:
        ledger.append(f"undo {number}")

    @app.task(retry=NO_RETRIES)
    def plain(ctx: Context) -> None:
        for number in range(3):
            ctx.step("do", lambda n=number: ledger.append(f"do {n}") or n, key=number, undo=undo)
        ctx.step("not undone", lambda: None)
        if end == "fails":
            raise Fail("in the end")
        ctx.sleep(3600)
        ctx.step("never", ledger.append, "never")

    @app.task(retry=NO_RETRIES)
    async def coroutine_task(ctx: Context) -> None:
        for number in range(3):
            await ctx.step_async("do", lambda n=number: ledger.append(f"do {n}") or n, key=number, undo=undo)
        await ctx.wait_for_async("never")

    run = (coroutine_task if end.endswith("coroutine") else plain).enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    if end != "fails":
        run.cancel("not wanted")
        jobs.run_until_idle(raise_on_failure=False)
    record = run.record()
    assert ledger == ["do 0", "do 1", "do 2", "undo 2", "undo 1", "undo 0"]
    expected = (RunState.FAILED, "in the end") if end == "fails" else (RunState.CANCELED, "canceled: not wanted")
    assert (record.state, record.error) == expected


def test_an_undo_function_that_fails_is_tried_again_and_those_before_it_are_not_repeated(app, jobs, ledger):
    def undo(number: int) -> None:
        ledger.append(f"undo {number}")
        if number == 0 and ledger.count("undo 0") == 1:
            raise OSError("busy")

    @app.task(retry=Delays((60,)))
    def work(ctx: Context) -> None:
        for number in range(2):
            ctx.step("do", lambda n=number: n, key=number, undo=undo)
        raise Fail("in the end")

    run = work.enqueue()
    jobs.advance(minutes=2, raise_on_failure=False)
    assert ledger == ["undo 1", "undo 0", "undo 0"]
    assert (run.record().state, run.record().error) == (RunState.FAILED, "in the end")


def test_a_step_of_many_runs_gives_their_results_in_order_and_is_not_repeated(app, jobs, ledger):
    @app.task
    def part(number: int) -> int:
        ledger.append(number)
        return number * number

    @app.task
    def work(ctx: Context) -> int:
        squares = ctx.step_map("squares", part, range(200))
        ctx.sleep(60)
        more = ctx.step_map("more", part, [1, 2])
        return sum(squares) + sum(more)

    run = work.enqueue()
    jobs.advance(minutes=3)
    assert run.result() == sum(n * n for n in range(200)) + 5
    assert sorted(ledger) == sorted([*range(200), 1, 2])
    assert jobs.assert_step(run, "squares").kind == "map"


def test_a_step_of_many_runs_goes_on_as_soon_as_the_last_of_them_has_ended(app, jobs):
    @app.task
    def part(number: int) -> int:
        return number

    @app.task(retry=NO_RETRIES)
    def broken(number: int) -> int:
        raise Fail("no such page")

    @app.task
    def work(ctx: Context) -> list[int]:
        found = [len(ctx.step_map(f"of {count}", part, range(count))) for count in (0, 1, 150)]
        return [*found, len(ctx.step_map("broken", broken, range(3), failure="continue"))]

    run = work.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    # The clock of the kit stands still: nothing was waited for.
    assert run.result() == [0, 1, 150, 3]


@pytest.mark.parametrize("failure", ["retry_on_failure", "continue"])
def test_a_run_of_a_step_that_fails_fails_the_step_unless_it_may(app, jobs, failure):
    @app.task(retry=NO_RETRIES)
    def part(number: int) -> int:
        if number == 1:
            raise Fail("no such page")
        return number

    @app.task(retry=NO_RETRIES)
    async def work(ctx: Context) -> list[int | None]:
        return await ctx.step_map_async("parts", part, range(3), failure=failure)

    run = work.enqueue()
    jobs.advance(minutes=3, raise_on_failure=False)
    if failure == "continue":
        assert run.result() == [0, None, 2]
    else:
        with pytest.raises(RunFailed, match="1 of the 3 runs of step 'parts' have failed; item 1 failed: no such page"):
            run.result()


def test_an_attempt_that_died_over_a_step_of_many_runs_adds_only_what_is_missing(app, jobs, ledger):
    @app.task
    def part(number: int) -> int:
        ledger.append(number)
        return number

    @app.task(retry=Delays((0, 0)))
    def work(ctx: Context) -> int:
        def items():
            for number in range(150):
                if number == 120 and ctx.attempt == 0:
                    raise OSError("gone")
                yield number

        return sum(ctx.step_map("parts", part, items()))

    run = work.enqueue()
    jobs.advance(minutes=3, raise_on_failure=False)
    assert run.result() == sum(range(150))
    assert sorted(ledger) == list(range(150))
