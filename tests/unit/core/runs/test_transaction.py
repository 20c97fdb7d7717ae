"""What a transaction refuses while it is collected: everything that could fail when it is too late."""

from enum import IntEnum, StrEnum

import pytest

from jobistemer.core.errors import InvalidInput
from jobistemer.core.runs.transaction import ALLOWED_COMMANDS, Transaction


def collected():
    return Transaction(lambda name: f"own:{name}", lambda request: request)


def refusal(*steps):
    transaction = collected()
    with pytest.raises(InvalidInput) as caught:
        for step in steps:
            transaction.write(*step)
    assert len(transaction.writes) == len(steps) - 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (("FLUSHALL", "a"), "command 'FLUSHALL' is not allowed; allowed are DEL, PEXPIRE, SET"),
        (("set", "a", "x"), "command 'set' is not allowed"),
        (("SET", "", "x"), "key '' is not allowed: use 1–200 ASCII letters, digits and _ . : - /"),
        (("SET", "{other}", "x"), "key '{other}' is not allowed"),
        (("SET", "a b", "x"), "key 'a b' is not allowed"),
        (("SET", 7, "x"), "key 7 is not allowed"),
        (("SET", "a"), "SET has 0 arguments, allowed are 1–1"),
        (("HSET", "a", "f"), "HSET has 1 arguments, allowed are 2–200 in pairs"),
        (("HSET", "a", "f", "v", "g"), "HSET has 3 arguments, allowed are 2–200 in pairs"),
        (("SADD", "a", *range(201)), "SADD has 201 arguments, allowed are 1–200"),
        (("SET", "a", None), "SET has argument None, allowed are str, bytes, int and float"),
        (("SET", "a", True), "SET has argument True, allowed are"),
        (("SET", "a", ["x"]), "SET has argument ['x'], allowed are"),
        (("INCRBY", "a", 1.5), "INCRBY has 1.5, allowed are whole numbers -1000000000000–1000000000000"),
        (("INCRBY", "a", "1"), "INCRBY has '1', allowed are whole numbers"),
        (("INCRBY", "a", 10**13), "INCRBY has 10000000000000, allowed are whole numbers"),
        (("HINCRBY", "a", "f", "x"), "HINCRBY has 'x', allowed are whole numbers"),
        (("PEXPIRE", "a", 0), "PEXPIRE has 0, allowed are whole numbers 1–"),
        (("LTRIM", "a", 0, "-1"), "LTRIM has '-1', allowed are whole numbers"),
        (("ZADD", "a", "1", "m"), "ZADD has score '1', allowed are finite numbers"),
        (("ZADD", "a", float("inf"), "m"), "ZADD has score inf, allowed are finite numbers"),
        (("ZADD", "a", float("nan"), "m"), "ZADD has score nan, allowed are finite numbers"),
        (("SET", "a", "x" * (1024 * 1024 + 1)), "its values have 1048577 bytes, allowed are 1048576"),
    ],
)
def test_a_step_that_could_fail_is_refused_by_name(step, message):
    assert message in refusal(step)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (("SET", "a", "x"), ("HSET", "a", "f", "v"), "HSET makes key 'a' a hash, before it was a string"),
        (("SADD", "a", "x"), ("LPUSH", "a", "x"), "LPUSH makes key 'a' a list, before it was a set"),
        (("SET", "a", "x"), ("INCRBY", "a", 1), "INCRBY and SET cannot both be applied to key 'a'; use two keys"),
        (("HINCRBY", "a", "f", 1), ("HSET", "a", "g", 1), "HSET and HINCRBY cannot both be applied to key 'a'"),
    ],
)
def test_two_steps_that_do_not_go_together_are_refused(first, second, message):
    assert message in refusal(first, second)


def test_a_key_may_be_deleted_and_given_an_expiry_whatever_it_is():
    transaction = collected()
    for step in (("DEL", "a"), ("SADD", "a", "x"), ("PEXPIRE", "a", 1000), ("DEL", "a")):
        transaction.write(*step)
    assert [write.command for write in transaction.writes] == ["DEL", "SADD", "PEXPIRE", "DEL"]


def test_writes_and_follow_ups_share_the_bound():
    transaction = collected()
    for _ in range(99):
        transaction.write("SADD", "a", "x")
    transaction.enqueue("request")
    with pytest.raises(InvalidInput, match="it has 100 steps already"):
        transaction.enqueue("one more")


def test_a_transaction_is_true_when_there_is_something_in_it():
    transaction = collected()
    assert not transaction
    transaction.enqueue("request")
    assert transaction


def test_every_allowed_command_has_a_form_that_bounds_its_arguments():
    assert all(form.least <= form.most <= 200 for form in ALLOWED_COMMANDS.values())


class Number(IntEnum):
    THREE = 3


class Word(StrEnum):
    ON = "on"


@pytest.mark.parametrize("number", [10**5000, -(10**5000), 2**63], ids=["digits", "negative", "64 bits"])
def test_a_number_that_the_client_library_cannot_write_is_refused_before_it_gets_there(number):
    for step in (
        ("SET", "a", number),
        ("HSET", "b", "field", number),
        ("INCRBY", "c", number),
        ("ZADD", "d", number, "x"),
    ):
        with pytest.raises(InvalidInput, match="transaction: "):
            collected().write(*step)


def test_a_text_that_is_no_utf8_is_refused_by_name():
    with pytest.raises(InvalidInput, match="cannot be written as UTF-8; give bytes"):
        collected().write("SET", "a", "\ud800")


def test_members_of_an_enumeration_are_written_as_what_they_are():
    transaction = collected()
    transaction.write("HSET", "a", Word.ON, Number.THREE)
    assert [(each, type(each)) for each in transaction.writes[0].args] == [("on", str), (3, int)]
