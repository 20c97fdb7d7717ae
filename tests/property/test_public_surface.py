"""Whatever the public surface is given: it refuses with an error of ours, or what was accepted is readable and ends.

Each test declares, calls or controls with values that do not belong there, one to four at a time among right ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobistemer import Backfills, Concurrency, Context, Cron, Fail, Jobistemer, JobistemerError, Rate, Retry
from jobistemer.app.job_declaration import _OPTION_NAMES, _POLICY_NAMES
from jobistemer.app.request import _KNOWN_OPTIONS, Request
from jobistemer.core.jobs.job import Job, decode_job
from jobistemer.core.jobs.limits import find_uses
from jobistemer.core.jobs.new_job import encode_new_job
from jobistemer.core.states import TERMINAL_RUNS
from jobistemer.store.reads.records import find_attempts
from jobistemer.testing import Jobs, under_test
from tests.property.odd_values import ODD, fuzz, odd, plain

policies = st.dictionaries(
    st.sampled_from(sorted(_POLICY_NAMES | _OPTION_NAMES | {"timezone"})), odd, min_size=1, max_size=2
)
options = st.dictionaries(
    st.sampled_from(sorted(_OPTION_NAMES | {"retry_on", "no_retry_on", "signals", "name"})), odd, min_size=1, max_size=2
)
call_options = st.dictionaries(st.sampled_from(sorted(_KNOWN_OPTIONS)), odd, max_size=2)
several = st.lists(odd, max_size=3)
COMMANDS = ["SET", "INCRBY", "HSET", "SADD", "ZADD", "PEXPIRE", "LTRIM", "DEL", "EVAL", 5]


def declared() -> Jobistemer:
    app = Jobistemer("fake://public-surface")

    @app.task(retry=1)
    def echo(value: object = None, a: object = None, b: object = None) -> str:
        return "here"

    @app.task(name="typed", limits=[Concurrency(2, key="{n}")])
    def typed(n: int, tags: list[str] = [], at: datetime | None = None) -> int:  # noqa: B006 - never changed
        return n

    @app.job("0 2 * * *", name="nightly")
    def nightly() -> None: ...

    return app


@pytest.fixture(scope="module")
def system() -> Iterator[Jobs]:
    """An app that stays for all examples of a test: what one of them breaks is found by the next."""
    app = declared()
    with under_test(app) as jobs:
        app.deploy()
        yield jobs


def attempt(act: Callable[[], Any]) -> Any:
    """Return what the call returns; None when it was refused by an error of ours. Any other error fails the test."""
    with suppress(JobistemerError):
        return act()
    return None


def check_ends(jobs: Jobs, run_id: str) -> None:
    """Work off what is due, and cancel a run that is to begin later. The run has ended then, and can be read."""
    jobs.run_until_idle(raise_on_failure=False)
    run = jobs.app.run(run_id)
    if run.state() not in TERMINAL_RUNS:
        run.cancel("the test is over")
        jobs.run_until_idle(raise_on_failure=False)
    record = run.record()
    assert record.state in TERMINAL_RUNS
    assert "readable" not in record.error


@fuzz(400)
@given(policies, odd, st.booleans())
def test_a_job_is_refused_or_can_be_read_by_every_ticker(
    given_policies: dict[str, Any], value: Any, as_schedule: bool
) -> None:
    app, value, given_policies = Jobistemer("fake://public-surface-jobs"), plain(value), plain(given_policies)

    def declare() -> list[Job]:
        schedule = value if as_schedule else "0 2 * * *"
        job = app.job(schedule, name=value if "overlap" in given_policies else "nightly", **given_policies)
        job(lambda: None)
        return app.jobs()

    for job in attempt(declare) or []:
        assert decode_job(encode_new_job(job)).id == job.id


@fuzz(300)
@given(options, odd, several)
def test_a_task_is_refused_or_can_be_called(given_options: dict[str, Any], value: Any, after: list[Any]) -> None:
    app, value, given_options, after = Jobistemer("fake://tasks"), plain(value), plain(given_options), plain(after)

    def nothing(a: object = None) -> None: ...

    attempt(lambda: app.task(**given_options)(nothing))
    attempt(lambda: app.task(value))
    attempt(lambda: app.job("0 2 * * *", name="graph").task(name="one", after=after, payload=value)(nothing))
    attempt(lambda: app.middleware(value))
    attempt(lambda: app.every(value).minutes.do(nothing, name="words"))
    attempt(lambda: app.at(value).do(nothing, name="once"))
    attempt(lambda: app.effective_options("nothing", **given_options))
    for name in app.handlers:
        attempt(lambda name=name: app.request(name))


@fuzz(300)
@given(odd, odd, call_options)
def test_a_call_is_refused_or_its_run_ends(
    system: Jobs, payload: Any, value: Any, given_options: dict[str, Any]
) -> None:
    app, payload, value, given_options = system.app, plain(payload), plain(value), plain(given_options)
    sent = [
        attempt(lambda: app.enqueue("echo", payload, **given_options)),
        attempt(lambda: app.enqueue("echo", {"value": payload, "a": value})),
        attempt(lambda: app.enqueue(value if isinstance(value, str) else "typed", payload)),
        attempt(lambda: app.enqueue_many([app.request("typed", {"n": payload, "tags": value})])[0]),
        attempt(lambda: app.enqueue_many([Request("echo", payload, metadata={"a": value})])[0]),
        attempt(lambda: app.enqueue_many([Request(value, payload, timing=value)])[0]),
        attempt(lambda: app.enqueue("echo", {}, metadata={"a": value}, headers=payload)),
        attempt(lambda: app.enqueue_at(value, "echo", payload)),
        attempt(lambda: app.enqueue_many(value)),
    ]
    for run in sent:
        for each in run if isinstance(run, list) else [run] if run is not None else []:
            check_ends(system, each.id)


@fuzz(60)
@given(odd, odd)
def test_control_is_refused_or_leaves_a_namespace_that_can_be_read(system: Jobs, value: Any, other: Any) -> None:
    app, backfills, value, other = system.app, Backfills(system.app.namespace), plain(value), plain(other)
    run = app.enqueue("echo", {}, delay=3600)
    for act in (
        lambda: app.control.pause("nightly", note=value),
        lambda: app.control.pause(value, until=other),
        lambda: app.control.pause("nightly", until=value),
        lambda: app.control.log("nightly", value),
        lambda: app.control.log(value, 5),
        lambda: app.control.find(value),
        lambda: app.control.rollback(value, other),
        lambda: app.control.rollback("nightly", value),
        lambda: app.control.diff("nightly", value, other),
        lambda: app.control.register(value),
        lambda: app.control.register_all([value]),
        lambda: app.control.register_all(app.jobs(), owner=value),
        lambda: app.control.trigger(value),
        lambda: app.control.remove(value),
        lambda: app.control.is_running(value),
        lambda: app.control.list(value, limit=other),
        lambda: app.control.list(after=value),
        lambda: app.queues.pause(value),
        lambda: app.queues.resume(value),
        lambda: app.queues.purge("unused", value),
        lambda: app.holds.put("echo", key=value, seconds=other),
        lambda: app.holds.put(value, until=other),
        lambda: app.holds.release(value, key=other),
        lambda: app.dead.page(value, other),
        lambda: app.dead.page(0, value),
        lambda: app.dead.find(value),
        lambda: list(app.dead.all(value, job=other, error=value)),
        lambda: app.dead.purge([value]),
        lambda: app.dead.purge(value),
        lambda: app.dead.replay(value, other),
        lambda: app.run(value).record(),
        lambda: app.run(run.id).result(timeout=value if value is not None else 0),
        lambda: app.report(value),
        lambda: backfills.ask("nightly", value, other),
        lambda: backfills.ask(
            "nightly", datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC), again=value
        ),
        lambda: backfills.ask(
            "nightly",
            datetime(2020, 1, 1, tzinfo=UTC),
            datetime(2020, 1, 2, tzinfo=UTC),
            order=value,
            concurrency=other,
        ),
        lambda: backfills.find(value),
        lambda: backfills.replay(value),
        lambda: run.cancel(value),
    ):
        if isinstance(value, float) and value > 1 and "result" in act.__code__.co_names:
            continue
        attempt(act)
    run.cancel("the test is over")
    app.control.resume("nightly")
    for queue in app.queues.list():
        app.queues.resume(queue.name)
    for hold in app.holds.list():
        assert hold.name
    assert app.control.find("nightly").job.name == "nightly"
    assert app.control.log("nightly", 100)
    check_ends(system, run.id)


@fuzz(300)
@given(odd, odd, odd)
def test_a_limit_is_refused_or_counts_every_call(value: Any, key: Any, argument: Any) -> None:
    app, value, key, argument = Jobistemer("fake://limits"), plain(value), plain(key), plain(argument)
    for make in (
        lambda: Concurrency(value, key=key),
        lambda: Concurrency(1, key=key if isinstance(key, str) else "{a}", name=value),
        lambda: Rate(value, argument, key=key),
        lambda: Rate(1, value, name=key),
        lambda: Concurrency(1, "{a}"),
    ):
        limit = attempt(make)
        if limit is not None:
            for use in find_uses("task/echo", [limit], {"a": argument, "b": value}):
                assert use.name.isprintable()
                use.name.encode()
    attempt(lambda: app.limit_queue(value, key))
    attempt(lambda: app.limit_queue("mail", value, key))


class Handed:
    """What the handler of the next attempt does with its context."""

    act: Callable[[Context], Any] = staticmethod(lambda _: None)


@pytest.fixture(scope="module")
def handing() -> Iterator[Jobs]:
    app = declared()

    @app.task(name="hands_over", retry=0)
    def hands_over(ctx: Context) -> Any:
        return Handed.act(ctx)

    with under_test(app) as jobs:
        yield jobs


def raise_retry(value: Any) -> None:
    raise Retry(value, after=value)


def raise_fail(value: Any) -> None:
    raise Fail(value)


@fuzz(60)
@given(odd, odd, st.sampled_from(COMMANDS), several)
def test_whatever_a_handler_hands_over_its_run_ends_on_record(
    handing: Jobs, value: Any, other: Any, command: Any, arguments: list[Any]
) -> None:
    value, other, arguments = plain(value), plain(other), plain(arguments)

    def steps(ctx: Context) -> Any:
        for act in (
            lambda: ctx.progress(value, other),
            lambda: ctx.progress(1, note=value),
            lambda: ctx.log(value, "info"),
            lambda: ctx.log("text", value),
            lambda: ctx.logger.info("%s", value),
            lambda: ctx.transaction.write(command, "own", *arguments),
            lambda: ctx.transaction.write("SET", value, other),
            lambda: ctx.transaction.write("SET", "number", value),
            lambda: ctx.transaction.key(value),
            lambda: ctx.transaction.enqueue(value),
            lambda: ctx.transaction.enqueue(handing.app.request("echo", value)),
        ):
            attempt(act)
        return other

    for act in (steps, lambda _: raise_retry(value), lambda _: raise_fail(value), lambda ctx: ctx.map("echo", value)):
        Handed.act = staticmethod(act)
        run = handing.app.enqueue("hands_over")
        check_ends(handing, run.id)
        for database in handing.app.namespace.shards:
            find_attempts(database, run.record())


def test_the_list_of_odd_values_holds_those_that_have_broken_something() -> None:
    assert len(ODD) > 120
    assert Cron("* * * * *") in ODD
