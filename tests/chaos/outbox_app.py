"""An application with an outbox in PostgreSQL: orders, and a task that notes each of them in the ledger."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine

from jobistemer import Context, Jobistemer
from jobistemer.contrib.outbox import Outbox

metadata = MetaData()
orders = Table(
    "orders", metadata, Column("number", BigInteger, primary_key=True), Column("run_id", String(64), nullable=False)
)
engine = create_engine(os.environ["OUTBOX_URL"], pool_pre_ping=True)
app = Jobistemer()
outbox = Outbox(app, engine, metadata=metadata, every=1.0)


@app.task(retry=20)
def note(ctx: Context, number: int) -> int:
    """Write the order, the run and the process to the ledger."""
    with Path(os.environ["JOBISTEMER_LEDGER"]).open("a") as ledger:
        ledger.write(f"{number} {ctx.run}\n")
    return number
