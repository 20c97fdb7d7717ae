"""Several tickers and workers on several hosts: nothing is shared but the server.

docker compose up                                                  (docker-compose.yml has two tickers, two workers)
JOBISTEMER_URL=redis://queue.example.org:6379/0 jobistemer-ticker
JOBISTEMER_URL=… jobistemer-worker workers.distributed:app -c 8 -Q default,reports

Any number of tickers may run: an instant is claimed once. Any number of workers may run: each takes what it can begin.
"""

from __future__ import annotations

import os
import socket

from jobistemer import Concurrency, Context, Jobistemer

app = Jobistemer()
# Limits count in the whole cluster.
app.limit_queue("reports", Concurrency(2))


@app.job("*/3 * * * * *", name="who", queue="default")
def who(context: Context) -> str:
    """Say which process has executed which instant."""
    line = f"{context.due_at:%H:%M:%S} by {socket.gethostname()} process {os.getpid()}"
    print(line, flush=True)
    return line


@app.task(queue="reports", timeout_s=60)
def build_report(customer: str) -> str:
    """At most two at a time, on the workers that serve the queue `reports`."""
    return f"report of {customer}"
