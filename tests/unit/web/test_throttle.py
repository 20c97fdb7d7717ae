"""Slowing down those who guess the token."""

import logging

import pytest

from jobistemer.web.security.throttle import (
    ALL_EACH_S,
    ALL_FAILURES,
    FORGET_S,
    FREE_FAILURES,
    MAX_ADDRESSES,
    MAX_DELAY_S,
    TokenThrottle,
)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(clock):
    return TokenThrottle(clock)


def test_who_mistypes_a_few_times_does_not_wait_and_then_longer_each_time(throttle, clock):
    waits = []
    for _ in range(12):
        clock.now += throttle.wait_s("10.0.0.7")
        throttle.record_failure("10.0.0.7")
        waits.append(throttle.wait_s("10.0.0.7"))
    assert waits[: FREE_FAILURES - 1] == [0] * (FREE_FAILURES - 1)
    assert waits[FREE_FAILURES - 1 : FREE_FAILURES + 3] == [1, 2, 4, 8]
    assert waits[-1] == MAX_DELAY_S


def test_one_address_waits_and_another_does_not(throttle):
    for _ in range(5):
        throttle.record_failure("10.0.0.7")
    assert throttle.wait_s("10.0.0.7") > 0
    assert throttle.wait_s("10.0.0.8") == 0


def test_the_right_token_ends_the_waiting(throttle):
    for _ in range(5):
        throttle.record_failure("10.0.0.7")
    throttle.record_success("10.0.0.7")
    assert throttle.wait_s("10.0.0.7") == 0


def test_failures_of_long_ago_are_forgotten(throttle, clock):
    for _ in range(5):
        throttle.record_failure("10.0.0.7")
    clock.now += FORGET_S
    throttle.record_failure("10.0.0.7")
    assert throttle.wait_s("10.0.0.7") == 0


def test_a_network_of_version_6_is_one_address(throttle):
    for number in range(5):
        throttle.record_failure(f"2001:db8::{number}")
    assert throttle.wait_s("2001:db8::ffff") > 0
    assert throttle.wait_s("2001:db8:0:1::1") == 0
    for _ in range(5):
        throttle.record_failure("::ffff:10.0.0.7")
    assert throttle.wait_s("::ffff:10.0.0.8") == 0


def test_many_addresses_together_wait_too(throttle, clock):
    for number in range(ALL_FAILURES):
        assert throttle.wait_s("192.0.2.1") == 0
        throttle.record_failure(f"10.0.0.{number}")
    assert throttle.wait_s("192.0.2.1") == ALL_EACH_S
    clock.now += ALL_EACH_S
    assert throttle.wait_s("192.0.2.1") == 0


def test_what_is_remembered_is_bounded(throttle):
    for number in range(MAX_ADDRESSES + 10):
        throttle.record_failure(f"host-{number}")
    assert len(throttle._failures) == MAX_ADDRESSES


def test_each_wrong_token_is_logged_with_its_address(throttle, caplog):
    with caplog.at_level(logging.WARNING):
        throttle.record_failure("10.0.0.7")
    assert "wrong token for the dashboard from 10.0.0.7, 1 in a row" in caplog.text
