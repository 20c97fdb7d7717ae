"""An attempt in flight and what keeps count of it: prefetch, time limits, log lines and metrics.

The lowest room of `worker`: it imports none of the others.
"""
