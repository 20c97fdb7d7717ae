"""The role that decides what is due.

    look ──> upcoming ──> fire        claim what is due, instant by instant, atomically
      │                   promote     move delayed runs that are due onto their streams
      │                   start       let the next queued occurrence of a job begin
      └── sleep until the next known instant, or until something earlier appears

Any number of tickers run side by side, with no leader: everybody tries, the claim decides, losing is silent.
A ticker needs no application code; what it knows it can lose at any time.
"""

from jobistemer.ticker.ticker import Ticker

__all__ = ["Ticker"]
