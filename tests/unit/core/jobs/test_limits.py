from functools import partial

import pytest

from jobistemer import Concurrency, Jobistemer, Options, Rate
from jobistemer.core.errors import InvalidDefinition, InvalidInput, InvalidName
from jobistemer.core.jobs.limits import LimitUse, find_uses, limit_name
from jobistemer.core.runs.message import Message


def uses(*limits, **arguments):
    return find_uses("task/send", limits, arguments)


def test_a_limit_counts_under_its_task_its_name_and_the_value_of_its_key():
    assert uses(Concurrency(5)) == [LimitUse("task/send", 5, 0)]
    assert uses(Concurrency(5, name="printer")) == [LimitUse("printer", 5, 0)]
    assert uses(Rate(10, per_s=60, key="{customer}"), customer=7) == [LimitUse("task/send:7", 10, 60_000)]
    assert uses(Concurrency(1, key="{a}-{b}", name="pair"), a=1, b="x") == [LimitUse("pair:1-x", 1, 0)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a b", "t:a%20b"),
        ("{x}:y", "t:%7Bx%7D%3Ay"),
        ("anna@example.org", "t:anna@example.org"),
        ("", "t:"),
        ("ü", "t:%C3%BC"),
    ],
)
def test_a_value_is_written_so_that_it_may_stand_in_a_key(value, expected):
    assert limit_name("t", value) == expected


def test_a_long_value_is_cut_to_a_size_that_a_key_may_have():
    assert len(limit_name("t", "x" * 101)) == 42
    assert limit_name("t", "x" * 101) != limit_name("t", "x" * 102)


def test_values_that_cannot_be_made_count_together():
    assert uses(Concurrency(1, key="{order.customer}"), order=None) == [LimitUse("task/send:?", 1, 0)]


def test_a_key_may_look_into_an_argument():
    app = Jobistemer("fake://limits-keys")

    @app.task(limits=[Concurrency(1, key="{order[customer]}")])
    def send(order: dict[str, int]) -> None: ...

    message = Message("run_1", "send", 0, send.handler.encode((), {"order": {"customer": 7}}))
    assert send.handler.limit_uses(message) == (LimitUse("task/send:7", 1, 0),)


def test_defaults_of_parameters_count_as_values():
    app = Jobistemer("fake://limits-defaults")

    @app.task(limits=[Concurrency(9), Concurrency(1, key="{customer}")])
    def send(customer: int = 3) -> None: ...

    message = Message("run_1", "send", 0, send.handler.encode((), {}))
    assert send.handler.limit_uses(message) == (LimitUse("task/send:3", 1, 0), LimitUse("task/send", 9, 0))


def test_limits_of_the_app_hold_for_tasks_that_say_nothing_else():
    app = Jobistemer("fake://limits-app", defaults=Options(limits=[Concurrency(4)]))

    @app.task
    def one() -> None: ...

    @app.task(limits=[])
    def two() -> None: ...

    assert (one.handler.limits, two.handler.limits) == ((Concurrency(4),), ())


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: Concurrency(0),
            InvalidDefinition,
            "concurrency limit is 0, allowed are whole numbers from 1 to 10000",
        ),
        (lambda: Concurrency(1.5), InvalidDefinition, "concurrency limit is 1.5, allowed are whole numbers"),
        (lambda: Rate(1, per_s=0), InvalidDefinition, "rate limit: per_s is 0, allowed is"),
        (lambda: Concurrency(1, key="customer"), InvalidDefinition, "names no argument; write it in braces"),
        (lambda: Concurrency(1, key="{customer"), InvalidDefinition, "is no template"),
        (lambda: Concurrency(1, name="a b"), InvalidName, "limit name 'a b'"),
        (lambda: Options(limits=[5]), InvalidDefinition, "limit 5 is neither Concurrency(…) nor Rate(…)"),
        (lambda: Options(limits=5), InvalidDefinition, "limit 5 is neither"),
        (lambda: Options(limits=[Concurrency(1)] * 2), InvalidDefinition, "twice; keep the narrower one"),
        (
            lambda: Options(limits=[Concurrency(1, name=f"n{n}") for n in range(11)]),
            InvalidDefinition,
            "has 11 limits, allowed are 10",
        ),
    ],
)
def test_a_limit_that_cannot_be_is_refused_with_the_reason(make, error, words):
    with pytest.raises(error) as refused:
        make()
    assert words in str(refused.value)


def test_a_key_that_asks_for_what_a_task_does_not_take_is_refused_where_it_is_declared():
    app = Jobistemer("fake://limits-refused")
    with pytest.raises(InvalidDefinition) as refused:

        @app.task(limits=[Concurrency(1, key="{client}")])
        def send(customer: int) -> None: ...

    assert str(refused.value) == ("task 'send': limit key '{client}' asks for 'client'; its parameters are customer")


def test_a_call_cannot_bring_limits_of_its_own():
    app = Jobistemer("fake://limits-call")

    @app.task
    def send() -> None: ...

    with pytest.raises(InvalidInput) as refused:
        send.options(limits=[Concurrency(1)])
    assert "they belong to the task, @app.task(limits=[…])" in str(refused.value)


def test_a_limit_of_a_queue_is_checked_where_it_is_declared():
    app = Jobistemer("fake://limits-queue")
    with pytest.raises(InvalidName):
        app.limit_queue("a b", Concurrency(1))
    with pytest.raises(InvalidDefinition) as refused:
        app.limit_queue("mail", 3)
    assert "queue 'mail': limit 3 is neither" in str(refused.value)


@pytest.mark.parametrize("key", ["{a:>1000000000}", "{a!r}", "{a:{b}}", "{a.b:x}"])
@pytest.mark.parametrize("limit", [Concurrency, partial(Rate, per_s=1)])
def test_a_key_with_a_format_is_refused_since_a_width_could_take_all_memory(limit, key):
    with pytest.raises(InvalidDefinition, match="only names stand in its braces"):
        limit(1, key=key)
