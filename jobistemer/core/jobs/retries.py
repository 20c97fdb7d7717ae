"""Retry policies: the delay after a failed attempt, and the number of retries."""

from __future__ import annotations

import msgspec

from jobistemer.core.checks import check_range, check_whole, show
from jobistemer.core.errors import InvalidDefinition

MAX_RETRIES = 1_000
LONGEST_DELAY_S = 86_400 * 366


class Exponential(msgspec.Struct, frozen=True, tag="exponential", tag_field="kind", omit_defaults=True):
    """Wait `first_s` seconds, then `factor` times longer after each failure, at most `cap_s`.

    `jitter` (0–1) takes off up to that share of each delay, so that runs which failed together do not come back
    together. `max_elapsed_s` ends the retries that would begin later than so many seconds after the first attempt
    began. Raises InvalidDefinition for values out of range.
    """

    max_retries: int = 3
    first_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 3600.0
    jitter: float = 0.1
    max_elapsed_s: float | None = None

    def __post_init__(self) -> None:
        check_whole("retry policy: max_retries", self.max_retries, 0, MAX_RETRIES, InvalidDefinition)
        check_range("retry policy: first_s", self.first_s, 0.001, LONGEST_DELAY_S, InvalidDefinition)
        check_range("retry policy: factor", self.factor, 1, 100, InvalidDefinition)
        check_range("retry policy: cap_s", self.cap_s, 0.001, LONGEST_DELAY_S, InvalidDefinition)
        check_range("retry policy: jitter", self.jitter, 0, 1, InvalidDefinition)
        _check_elapsed(self.max_elapsed_s)

    def delay_ms(self, failures: int, chance: float) -> int | None:
        """Return the delay in milliseconds after failure number `failures` (from 1), or None for no retry.

        `chance` in [0, 1) is the caller's random number.
        """
        if failures > self.max_retries:
            return None
        # The exponent is bounded because a float overflows near 2**1024, long after any cap was reached.
        full = min(self.cap_s, self.first_s * self.factor ** min(failures - 1, 150))
        return round(full * (1 - self.jitter * chance) * 1000)


class Delays(msgspec.Struct, frozen=True, tag="delays", tag_field="kind", omit_defaults=True):
    """Wait exactly the listed seconds, one delay per retry. An empty list means no retries.

    `max_elapsed_s` ends the retries earlier, as in Exponential. Raises InvalidDefinition for values out of range.
    """

    seconds: tuple[float, ...] = ()
    max_elapsed_s: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.seconds, tuple | list):
            raise InvalidDefinition(
                f"retry policy: delays are {show(self.seconds)}, allowed is a list of seconds: Delays((1, 5, 30))"
            )
        # Callers may write a list; a policy has to be hashable and comparable, which a tuple is.
        msgspec.structs.force_setattr(self, "seconds", tuple(self.seconds))
        check_range("retry policy: number of delays", len(self.seconds), 0, MAX_RETRIES, InvalidDefinition)
        for value in self.seconds:
            check_range("retry policy: delay", value, 0, LONGEST_DELAY_S, InvalidDefinition)
        _check_elapsed(self.max_elapsed_s)

    @property
    def max_retries(self) -> int:
        """The number of retries."""
        return len(self.seconds)

    def delay_ms(self, failures: int, chance: float) -> int | None:  # noqa: ARG002 - one shape for all policies
        """Return the delay in milliseconds after failure number `failures` (from 1), or None for no retry."""
        if failures > len(self.seconds):
            return None
        return round(self.seconds[failures - 1] * 1000)


def _check_elapsed(seconds: float | None) -> None:
    if seconds is not None:
        check_range("retry policy: max_elapsed_s", seconds, 0.001, LONGEST_DELAY_S, InvalidDefinition)


RetryPolicy = Exponential | Delays
NO_RETRIES = Delays()


def set_max_retries(policy: RetryPolicy, count: int) -> RetryPolicy:
    """Return the policy with `count` retries; a retry beyond its delays waits as long as the last one."""
    if isinstance(policy, Exponential):
        return msgspec.structs.replace(policy, max_retries=count)
    if not policy.seconds:
        return Exponential(max_retries=count) if count else policy
    more = count - len(policy.seconds)
    return msgspec.structs.replace(policy, seconds=policy.seconds[:count] + policy.seconds[-1:] * more)
