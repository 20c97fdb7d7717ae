"""Test an application: without a server, without waiting, and with what a ticker and a worker would really do.

    Jobs ──> Driver ──> System ──> TickerSteps   what is due at this instant is decided,
     │                       └──> WorkerSteps   fetched, run in an InlineExecutor and committed
     └── Assertions: what was enqueued, what occurred, what is dead

Nothing is simulated: planning, scripts, execution and commits are those of the real roles, on an in-memory server.
`pytest_jobistemer`, beside this package, makes it a fixture; `under_test` is for whoever uses no pytest.
"""

from jobistemer.testing.calls import Call
from jobistemer.testing.failures import HandlerFailed
from jobistemer.testing.jobs import Jobs, under_test
from jobistemer.testing.occurrences import Occurrence

__all__ = ["Call", "HandlerFailed", "Jobs", "Occurrence", "under_test"]
