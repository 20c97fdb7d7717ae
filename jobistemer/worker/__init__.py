"""The role that executes.

    fetch ──> prefetch ──> slots (threads, event loop) ──> finished queue ──> commit
      │                       │
      │                       └── watchdog: time-outs and cancellation of what is in flight
      └── beat: the lease of this worker; reclaim: the work of dead ones

The control plane (fetch, commit, beat, watchdog) has threads of its own, so a handler that blocks costs no lease.
What is in flight is an entry in a pending list; it is ended by exactly one script, `commit`, whoever calls it.
"""

from jobistemer.worker.worker import Worker

__all__ = ["Worker"]
