"""What becomes of work when a worker dies: another one takes it over, and effects are the same when it is done twice.

jobistemer dev workers.recovery:app --workers 2 --lease 3 --kill-worker-after 6
jobistemer enqueue transfer '{"order": "7", "amount": 120}' --app workers.recovery:app

A worker's runs are taken over when its lease has ended without a sign of life. Work is done at least once; its outcome
is recorded once.
"""

from __future__ import annotations

import time

from jobistemer import Context, Jobistemer

app = Jobistemer()


@app.task(max_crashes=3)
def transfer(context: Context, order: str, amount: int) -> str:
    """Take three seconds, so that a worker can be killed meanwhile; the effect is applied with the outcome.

    The writes of a transaction are applied by the script that records the success: once, or not at all. A worker that
    was thought dead and comes back is refused.
    """
    for second in range(3):
        context.progress(second, 3)
        time.sleep(1)
    context.transaction.write("HSET", "orders", order, amount)
    context.transaction.write("INCRBY", "revenue", amount)
    return f"order {order} by attempt {context.attempt}"


@app.job("*/5 * * * * *", name="heartbeat", overlap="skip", occurrence_timeout_s=30)
def heartbeat(context: Context) -> str:
    """Fired by any ticker: start two, kill one, and no instant is missing; see `jobistemer audit heartbeat`."""
    return f"due at {context.due_at:%H:%M:%S}"
