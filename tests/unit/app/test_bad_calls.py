"""What a call may not say is refused with one kind of error, which names the option and the value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jobistemer import Concurrency, Context, Delays, Jobistemer, Retry
from jobistemer.app.request import Request, Timing, build_request
from jobistemer.core.errors import (
    InvalidDefinition,
    InvalidInput,
    InvalidPayload,
    Misconfigured,
    NotFound,
    PayloadTooLarge,
    ResultTimeout,
    UnknownOccurrence,
    UnknownRun,
)
from jobistemer.core.handlers.handler import encode_payload
from jobistemer.core.jobs.options import Options
from jobistemer.core.jobs.retries import NO_RETRIES, Exponential, set_max_retries
from tests.support.apps import drain_queues


@pytest.fixture
def app(request: pytest.FixtureRequest) -> Jobistemer:
    return Jobistemer("fake://bad-calls", namespace=f"bad-{abs(hash(request.node.name))}")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"delay": 1e300}, "delay is 1e+300, allowed are at most 3162240000 seconds"),
        ({"at": "2026-01-01"}, "at is '2026-01-01', allowed is a datetime with a time zone"),
        ({"unique": "\ud800"}, "unique is '\\ud800', allowed are texts of at most 4096 bytes"),
        ({"metadata": "order"}, "metadata is 'order', allowed are texts by name, such as {'order': '7'}"),
        ({"headers": {"a": "\ud800"}}, "headers has 'a': '\\ud800', which cannot be written as UTF-8"),
        ({"max_retries": 1.5}, "max_retries is 1.5, allowed are whole numbers from 0 to 1000"),
        ({"timeout": "5"}, "timeout is '5', allowed are 0.001 and more seconds"),
        (
            {"timeout": 5, "timeout_s": 5},
            "timeout and timeout_s of a call of task 'send' are both given; give one of them",
        ),
        ({"timeout_s": 1e9}, "timeout_s is 1000000000.0, allowed is 0.001–31622400"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_with_the_value(said: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build_request("send", {}, **said)
    assert str(refused.value) == message


def test_an_option_with_a_typing_error_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        InvalidInput, match=r"has no option dellay; did you mean delay\? known are at, .*debounce, delay, "
    ):
        build_request("send", {}, dellay=5)
    with pytest.raises(InvalidInput, match=r"has no option retention; did you mean retention_s\? known are at, "):
        build_request("send", {}, retention=5)


def test_fractions_of_retries_and_crashes_which_no_worker_could_read_are_refused() -> None:
    with pytest.raises(InvalidDefinition, match=r"max_retries is 1.5, allowed are whole numbers from 0 to 1000"):
        Exponential(max_retries=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidDefinition, match=r"max_crashes is 1.5, allowed are whole numbers from 1 to 100"):
        Options(max_crashes=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "shown"), [(float("nan"), "nan"), (float("inf"), "inf"), ("x", "'x'"), (1e9, "1000000000.0")]
)
def test_a_time_until_the_next_attempt_that_is_none_is_refused(after: Any, shown: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Retry(after=after)
    assert str(refused.value) == f"Retry: after is {shown}, allowed is 0–31622400"


def test_a_time_until_the_next_attempt_that_is_past_is_now() -> None:
    assert Retry(after=timedelta(seconds=-5)).after_ms == 0


@pytest.mark.parametrize("given", ["ValueError", 5])
def test_exceptions_to_be_tried_again_that_are_no_classes_are_refused_as_a_whole(app: Jobistemer, given: Any) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        app.task(name="send", retry_on=given)(lambda: None)
    assert str(refused.value) == (
        f"task 'send': retry_on has {given!r}, which is no exception class; write retry_on=(ConnectionError, TimeoutError)"
    )


def test_delays_are_a_list(app: Jobistemer) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        Delays(5)  # type: ignore[arg-type]
    assert str(refused.value) == "retry policy: delays are 5, allowed is a list of seconds: Delays((1, 5, 30))"
    assert Delays([1, 5]) == Delays((1, 5))  # type: ignore[arg-type]


def test_a_dead_letter_handler_may_be_given_as_the_task_itself(app: Jobistemer) -> None:
    @app.task
    def look(run: str) -> None: ...

    @app.task(on_dead=look)
    def send() -> None: ...

    assert send.handler.options.on_dead == "look"


def test_defaults_that_are_no_options_are_refused() -> None:
    with pytest.raises(Misconfigured) as refused:
        Jobistemer("fake://defaults", defaults={"queue": "mail"})  # type: ignore[arg-type]
    assert str(refused.value) == "defaults are {'queue': 'mail'}, allowed are Options(queue=…, timeout_s=…, …)"


def test_a_queue_that_is_limited_by_nothing_is_refused(app: Jobistemer) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        app.limit_queue("mail")
    assert str(refused.value) == "queue 'mail' is given no limit, write limit_queue(…, Concurrency(5))"
    app.limit_queue("mail", Concurrency(5))


def test_effective_options_know_the_options_of_a_call(app: Jobistemer) -> None:
    with pytest.raises(
        InvalidInput, match=r"a call of task 'send' has no option dellay; did you mean delay\? known are at, "
    ):
        app.effective_options("send", dellay=5)
    assert app.effective_options("send", timeout=5)["timeout_s"].value == 5.0
    assert app.effective_options("send", max_retries=2)["retry"].value == Exponential(max_retries=2)


def test_handles_refuse_what_is_no_time_and_no_id(app: Jobistemer) -> None:
    with pytest.raises(InvalidInput) as refused:
        app.run(5)  # type: ignore[arg-type]
    assert str(refused.value) == "run id is 5, allowed are texts of at most 500 characters in UTF-8"
    with pytest.raises(InvalidInput) as refused:
        app.run("run_0").result(timeout="x")  # type: ignore[arg-type]
    assert str(refused.value) == "timeout is 'x', allowed are seconds, or None for ever"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda app: app.enqueue_many(5), "calls are 5, allowed are several: enqueue_many([task.request(…), …])"),
        (lambda app: app.enqueue_many(["x"]), "a call is 'x', allowed is what task.request(…) or app.request(…) gives"),
        (lambda app: app.run("\ud800"), "run id is '\\ud800', allowed are texts of at most 500 characters in UTF-8"),
        (
            lambda app: app.run("run_0").result(timeout=float("nan")),
            "timeout is nan, allowed are seconds, or None for ever",
        ),
        (lambda _: Jobistemer(5), "url is 5, allowed is a text such as redis://localhost:6379/0"),
        (lambda _: Jobistemer(sizes=5), "sizes are 5, allowed is Sizes(payload_bytes=…, result_bytes=…)"),
        (lambda _: Concurrency(5, key=5), "concurrency limit: key is 5, allowed is a text such as '{customer}'"),
        (lambda app: app.task(5), "a task is made of a function, not of 5; write @app.task(name=…)"),
        (
            lambda app: app.job("* * * * *", name="nightly").task(after=5)(len),
            "after is 5, allowed is a list of tasks: after=[extract]",
        ),
        (
            lambda app: app.job("* * * * *", name="nightly").task(after="extract")(len),
            "after is 'extract', allowed is a list of tasks: after=[extract]",
        ),
    ],
)
def test_what_is_of_another_type_altogether_is_refused_by_name(app: Jobistemer, made: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        made(app)
    assert str(refused.value) == message


def test_what_is_not_there_is_named_without_control_characters(app: Jobistemer) -> None:
    with pytest.raises(UnknownOccurrence, match=r"^occ_\\x1b\[2J is not on record"):
        app.report("occ_\x1b[2J")
    with pytest.raises(NotFound, match=r"^run run_\\x1b is no dead letter"):
        app.dead.replay("run_\x1b")


def test_an_unknown_run_is_named_without_its_control_characters(app: Jobistemer) -> None:
    with pytest.raises(UnknownRun) as refused:
        app.run("run_\x1b[2J").state()
    assert str(refused.value) == "run run_\\x1b[2J is not on record: it never was, or its retention is over"
    with pytest.raises(UnknownRun, match=r"run run_\\x1b\[2J is not on record"):
        app.run("run_\x1b[2J").cancel()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"a": {"b": [float("nan")]}, "c": msgspec.Raw(b"1")}, "has the number nan, which JSON cannot say"),
        ({"a": float("-inf")}, "has the number -inf, which JSON cannot say"),
        ({1: 2}, "has the key 1, allowed are names of arguments"),
    ],
)
def test_a_payload_that_would_arrive_as_something_else_is_refused(payload: Any, message: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        encode_payload("send", payload)
    assert str(refused.value) == f"payload of task 'send' {message}"
    assert bytes(encode_payload("send", {"a": None, "b": msgspec.Raw(b"1")})) == b'{"a":null,"b":1}'


def test_an_instant_is_bounded_as_a_delay_is() -> None:
    late = Timing(at=datetime(2128, 1, 1, tzinfo=UTC))
    now_ms = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    with pytest.raises(InvalidInput) as refused:
        late.due_at(now_ms)
    assert str(refused.value) == "at is 2128-01-01 00:00:00+00:00, allowed are at most 3162240000 seconds from now"


@pytest.mark.parametrize(
    ("policy", "count", "expected"),
    [
        (Exponential(first_s=5), 7, Exponential(max_retries=7, first_s=5)),
        (Delays((1, 5)), 1, Delays((1,))),
        (Delays((1, 5)), 4, Delays((1, 5, 5, 5))),
        (Delays((1, 5)), 0, NO_RETRIES),
        (NO_RETRIES, 2, Exponential(max_retries=2)),
        (NO_RETRIES, 0, NO_RETRIES),
    ],
)
def test_a_call_says_how_many_retries_and_the_task_how_long_they_wait(policy: Any, count: int, expected: Any) -> None:
    assert set_max_retries(policy, count) == expected


def test_a_call_with_fewer_retries_and_a_timeout_of_its_own_has_them(app: Jobistemer) -> None:
    begun = []

    @app.task(retry=Delays((0, 0, 0)))
    def send(ctx: Context) -> None:
        begun.append(ctx.attempt)
        raise ValueError("no")

    send.options(max_retries=1, timeout=timedelta(minutes=2)).enqueue()
    drain_queues(app)
    assert begun == [0, 1]


@pytest.mark.parametrize(
    ("given", "retry", "timeout_s"),
    [
        ({"timeout": 5}, Exponential(), 5.0),
        ({"timeout": timedelta(minutes=2)}, Exponential(), 120.0),
        ({"retry": 7}, Exponential(max_retries=7), 300.0),
        ({"max_retries": 7}, Exponential(max_retries=7), 300.0),
        ({"retry": Delays((1, 5)), "max_retries": 1}, Delays((1,)), 300.0),
        ({"retry": 0}, Exponential(max_retries=0), 300.0),
    ],
)
def test_an_option_means_the_same_in_a_task_a_job_and_a_call(
    app: Jobistemer, given: dict[str, Any], retry: Any, timeout_s: float
) -> None:
    called = app.task(name="called")(lambda: None)
    app.task(name="declared", **given)(lambda: None)
    app.job("0 2 * * *", name="nightly", **given)(lambda: None)
    app.job("0 2 * * *", name="graph").task(name="one", **given)(lambda: None)
    messages = [
        app.producer.prepare(called.options(**given).request())[0],
        app.producer.prepare(app.request("called", {}, **given))[0],
        *(app.producer.prepare(app.request(name, {}))[0] for name in ("declared", "nightly", "graph.one")),
    ]
    assert [(each.retry, each.timeout_ms / 1000) for each in messages] == [(retry, timeout_s)] * 5


def test_a_number_of_retries_changes_the_policy_of_the_level_above(app: Jobistemer) -> None:
    task = app.task(name="delayed", retry=Delays((1, 5)))(lambda: None)
    assert app.effective_options("delayed", retry=1)["retry"].value == Delays((1,))
    assert app.producer.prepare(task.options(max_retries=3).request())[0].retry == Delays((1, 5, 5))


@pytest.mark.parametrize("given", [{"retry": 3, "max_retries": 2}, {"timeout": 5, "timeout_s": 5}])
def test_an_option_that_is_said_twice_is_refused_wherever_it_is_written(app: Jobistemer, given: dict[str, Any]) -> None:
    for write in (app.task, app.job("0 2 * * *", name="graph").task, lambda **said: app.job("0 2 * * *", **said)):
        with pytest.raises(InvalidDefinition, match="give one of them"):
            write(**given)(lambda: None)
    with pytest.raises(InvalidInput, match="give one of them"):
        app.request("send", {}, **given)


@pytest.mark.parametrize("payload", [b"{", b"", b"[]", b'{},"handler":"env","queue":"x"', b'{"a":1}{'])
def test_json_that_is_no_payload_cannot_change_the_message_around_it(app: Jobistemer, payload: bytes) -> None:
    app.task(name="send")(lambda: None)
    for task in ("send", "unknown"):
        with pytest.raises(InvalidPayload):
            app.enqueue(task, msgspec.Raw(payload))  # type: ignore[arg-type]
        with pytest.raises(InvalidPayload):
            app.enqueue_many([Request(task, msgspec.Raw(payload))])
        with pytest.raises(InvalidPayload):
            app.enqueue(task, {"a": msgspec.Raw(payload[:-1] + b",")})


def test_json_that_is_a_payload_is_measured_and_checked_like_any_other(app: Jobistemer) -> None:
    @app.task
    def send(n: int) -> None: ...

    assert app.enqueue("send", msgspec.Raw(b' {"n": 5} ')).state() == "pending"  # type: ignore[arg-type]
    with pytest.raises(InvalidPayload, match="Expected `int`"):
        app.enqueue("send", msgspec.Raw(b'{"n":"5"}'))  # type: ignore[arg-type]
    with pytest.raises(PayloadTooLarge):
        app.enqueue("other", msgspec.Raw(b'{"n":"' + b"x" * 300_000 + b'"}'))  # type: ignore[arg-type]


def test_an_expiry_before_1970_is_one_that_is_over_and_not_none_at_all() -> None:
    assert Timing(expires=datetime(1969, 1, 1, tzinfo=UTC)).expires_at(5_000) == 1
    assert Timing(expires=datetime(1970, 1, 1, tzinfo=UTC)).expires_at(5_000) == 1


@pytest.mark.parametrize("timeout", [0, -5, -(10**5000)], ids=["now", "before now", "long before now"])
def test_a_result_that_is_not_waited_for_is_not_there_yet(app, timeout):
    with pytest.raises(ResultTimeout, match="has not ended within 0 s"):
        app.enqueue("greet", {}, delay=60).result(timeout=timeout)
