"""The share of a ticker: the jobs that it fires first."""

from __future__ import annotations

from zlib import crc32

SPREAD = 0x9E3779B1
"""An odd number whose multiples spread over all numbers of 32 bits."""
MAX_NUMBER = 0xFFFFFFFF


class Share:
    """The jobs that a ticker fires first.

    Each job belongs to the live ticker that has the highest number for it. So a ticker that leaves or starts moves its
    own share only: what belongs to others stays theirs, whichever list of tickers each of them has at that moment.
    """

    def __init__(self, ticker: str = "", tickers: list[str] | None = None) -> None:
        self._own = crc32(ticker.encode())
        self.tickers = tickers or [ticker]
        self._others = [crc32(other.encode()) for other in self.tickers if other != ticker]
        self.is_alone = not self._others

    def owns(self, number: int) -> bool:
        """Return whether the job of this number belongs to this ticker."""
        own = (number ^ self._own) * SPREAD & MAX_NUMBER
        return all((number ^ other) * SPREAD & MAX_NUMBER < own for other in self._others)
