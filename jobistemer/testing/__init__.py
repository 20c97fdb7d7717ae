"""The testing kit for applications: no server, no waiting, and the real code of ticker and worker.

    Jobs ──> Driver ──> System ──> TickerSteps   decides what is due at this instant
     │                       └──> WorkerSteps   fetches, runs it in an InlineExecutor and commits
     └── Assertions: the calls that were enqueued, the occurrences, the dead runs

Nothing is simulated: planning, scripts, execution and commits are those of the real roles, on an in-memory server.
The module `pytest_jobistemer`, beside this package, makes the fixture `jobs` of it; `under_test` works without pytest.
"""

from jobistemer.testing.calls import Call
from jobistemer.testing.failures import HandlerFailed
from jobistemer.testing.jobs import Jobs, under_test
from jobistemer.testing.occurrences import Occurrence

__all__ = ["Call", "HandlerFailed", "Jobs", "Occurrence", "under_test"]
