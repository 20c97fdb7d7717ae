"""The role that decides which jobs are due, and claims their instants.

    read the agenda ──> upcoming ──> firing_pass   claim the instants that are due, atomically
      │                              promote       move delayed runs that are due onto their streams
      │                              start_queued  let the next queued occurrence of a job begin
      └── sleep until the next known instant, or until something earlier appears

Any number of tickers run side by side, with no leader: all of them try, the claim decides which one succeeds, and the
others lose silently. A ticker needs no application code, and its memory is a cache that it can lose at any time.
"""

from jobistemer.ticker.ticker import Ticker

__all__ = ["Ticker"]
