"""The role that executes runs.

    fetch ──> slots (threads, event loop, processes) ──> finished queue ──> commit
      │          │
      │          └── watchdog: time-outs and cancellation of running attempts
      └── beat: the lease of this worker; reclaim: the runs of dead workers

The control plane (fetch, commit, beat, watchdog) has threads of its own, so a handler that blocks costs no lease.
A run in flight is an entry in a pending list. The script that removes the entry ends the attempt, whichever worker
calls it: a second one finds no entry and writes nothing.
"""

from jobistemer.worker.worker import Worker

__all__ = ["Worker"]
