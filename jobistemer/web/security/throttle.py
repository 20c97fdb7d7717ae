"""Slowing down those who guess the token: for each address, and for all of them together."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil
from time import monotonic
from typing import Final, NamedTuple

FREE_FAILURES: Final = 3
"""So many wrong tokens of one address cost nothing: people mistype."""
MAX_DELAY_S: Final = 60
MAX_ADDRESSES: Final = 10_000
"""So many addresses are remembered, those that failed last."""
FORGET_S: Final = 3600
ALL_FAILURES: Final = 50
"""So many wrong tokens of all addresses together are taken at once; one more each ALL_EACH_S seconds."""
ALL_EACH_S: Final = 2

log = logging.getLogger("jobistemer.web.security")


class _Failures(NamedTuple):
    """The wrong tokens of one address. wait_until: the time before which it is not listened to."""

    in_a_row: int
    wait_until: float
    last: float


class TokenThrottle:
    """Remembers who has given wrong tokens, and tells who has to wait.

    Who has to wait is not even compared with the token: else guessing would go on at full speed.
    read_clock: seconds that only go forward.
    """

    def __init__(self, read_clock: Callable[[], float] = monotonic) -> None:
        self._read_clock = read_clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._all_left = float(ALL_FAILURES)
        self._all_at = read_clock()

    def wait_s(self, address: str) -> int:
        """Return for how many whole seconds an address has to wait, 0 for not at all."""
        now = self._read_clock()
        known = self._failures.get(_group(address))
        own = known.wait_until - now if known else 0.0
        left = self._refilled(now)
        everybody = (1 - left) * ALL_EACH_S if left < 1 else 0.0
        return max(0, ceil(max(own, everybody)))

    def record_failure(self, address: str) -> None:
        """Count a wrong token of an address, and write it to the log."""
        now, group = self._read_clock(), _group(address)
        known = self._failures.pop(group, None)
        count = known.in_a_row + 1 if known and now - known.last < FORGET_S else 1
        delay = min(MAX_DELAY_S, 2 ** min(count - FREE_FAILURES, 16)) if count >= FREE_FAILURES else 0
        self._failures[group] = _Failures(count, now + delay, now)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        self._all_left, self._all_at = max(0.0, self._refilled(now) - 1), now
        log.warning("wrong token for the dashboard from %s, %d in a row; next in %d s", address, count, delay)

    def record_success(self, address: str) -> None:
        """Forget the wrong tokens of an address."""
        self._failures.pop(_group(address), None)

    def _refilled(self, now: float) -> float:
        return min(float(ALL_FAILURES), self._all_left + (now - self._all_at) / ALL_EACH_S)


def _group(address: str) -> str:
    # Who has one address of version 6 has 2**64 of them.
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
