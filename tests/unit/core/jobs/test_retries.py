import pytest

from jobistemer.core.errors import InvalidDefinition
from jobistemer.core.jobs.retries import NO_RETRIES, Delays, Exponential


@pytest.mark.parametrize(
    ("policy", "chance", "delays"),
    [
        (Exponential(jitter=0), 0.9, [1000, 2000, 4000, None]),
        (Exponential(max_retries=2, first_s=0.5, factor=3, jitter=0), 0, [500, 1500, None]),
        (
            Exponential(max_retries=4, first_s=10, factor=10, cap_s=60, jitter=0),
            0,
            [10_000, 60_000, 60_000, 60_000, None],
        ),
        (Exponential(max_retries=1, jitter=0.1), 0.5, [950, None]),
        (Exponential(max_retries=1, jitter=1), 0.999, [1, None]),
        (Exponential(max_retries=0), 0, [None]),
        (Delays((0, 1.5)), 0.9, [0, 1500, None]),
        (NO_RETRIES, 0, [None]),
    ],
)
def test_a_policy_gives_a_delay_for_each_retry_and_then_no_more(policy, chance, delays):
    assert [policy.delay_ms(failure, chance) for failure in range(1, len(delays) + 1)] == delays


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 0.999])
def test_jitter_only_takes_off_and_no_more_than_its_share(chance):
    assert 900 <= Exponential(jitter=0.1).delay_ms(1, chance) <= 1000


def test_the_thousandth_retry_does_not_overflow():
    assert Exponential(max_retries=1000, factor=100, jitter=0).delay_ms(1000, 0) == 3_600_000


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (lambda: Exponential(max_retries=-1), "max_retries is -1"),
        (lambda: Exponential(max_retries=1001), "max_retries is 1001"),
        (lambda: Exponential(first_s=0), "first_s is 0"),
        (lambda: Exponential(factor=0.9), "factor is 0.9"),
        (lambda: Exponential(cap_s=float("nan")), "cap_s is nan"),
        (lambda: Exponential(jitter=1.1), "jitter is 1.1"),
        (lambda: Delays((-1,)), "delay is -1"),
        (lambda: Delays((1,) * 1001), "number of delays is 1001"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_field_and_value(policy, field):
    with pytest.raises(InvalidDefinition, match=field):
        policy()
