"""Code around every run: timing, a request id that travels with calls, an error tracker, resources of the worker.

jobistemer dev workers.middleware:app
jobistemer enqueue charge '{"order": 7}' --header request-id=4bf9 --app workers.middleware:app
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from jobistemer import Context, Depends, Jobistemer
from jobistemer.contrib.middleware import capture_exceptions, log_attempts

app = Jobistemer()
lines: list[str] = []
app.middleware(log_attempts)
app.middleware(capture_exceptions(lambda error: lines.append(f"tracked: {error!r}")))


@app.middleware
@contextmanager
def measure(context: Context) -> Iterator[None]:
    """A context manager around each run; what is before `yield` comes first, also before the arguments are read."""
    started = time.perf_counter()
    try:
        yield
    finally:
        took = "quick" if time.perf_counter() - started < 1 else "slow"
        lines.append(f"{context.handler} of request {context.headers.get('request-id', '-')} was {took}")
        print(lines[-1], flush=True)


class Ledger:
    """A resource, such as a pool of connections."""

    def __init__(self) -> None:
        self.orders: list[int] = []


@app.on_worker_start
def open_ledger() -> None:
    """Called once in each worker, before its first run."""
    app.state.ledger = Ledger()


def get_ledger() -> Ledger:
    """Return the resource of this worker; a test puts another one in its place with `jobs.override`."""
    found: Ledger = app.state.ledger
    return found


@app.task
def charge(order: int, ledger: Ledger = Depends(get_ledger)) -> int:  # noqa: B008 - a marker, as in FastAPI
    """Callers give the order; the worker gives the ledger."""
    if order < 0:
        raise ValueError(f"order {order} is none")
    ledger.orders.append(order)
    return len(ledger.orders)
