"""The outbox: calls that are stored in the transaction of the application's database, and sent after its commit.

    outbox = Outbox(app, engine)            # SQLAlchemy; for Django see jobistemer.contrib.django
    outbox.create_table()                   # or add outbox.table to your migrations

    with Session(engine) as session:
        session.add(order)
        run = outbox.enqueue(session, send_receipt, order=order.id)
        session.commit()                    # both, or neither

A relay, which is a job of the app, sends each stored call: exactly one run for each committed row, none for one that
was rolled back. It needs `pip install 'jobistemer[outbox]'`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from jobistemer.app import Jobistemer, RunHandle, TaskHandle
from jobistemer.app.request import Request
from jobistemer.contrib.app_check import check_app
from jobistemer.contrib.outbox_calls import (
    NEVER_MS,
    OutboxRow,
    build_call,
    declare_relay,
    encode_call,
    relay_batch,
)
from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput, Misconfigured

TABLE = "jobistemer_outbox"
JOB = "outbox-relay"


class Outbox:
    """The outbox of an app in a database of SQLAlchemy.

    engine: what the relay connects with, a plain Engine; callers may use plain or asyncio sessions of their own.
    metadata: of the application, so that its migrations know the table. every: seconds between two runs of the relay;
    None declares no job, for a process that calls `relay` itself. Raises Misconfigured.
    """

    def __init__(
        self,
        app: Jobistemer,
        engine: Engine,
        *,
        metadata: MetaData | None = None,
        table: str = TABLE,
        job: str = JOB,
        every: float | None = 1.0,
    ) -> None:
        check_app("the outbox", app)
        if not isinstance(engine, Engine):
            raise Misconfigured(f"outbox: engine is {show(engine)}, allowed is an Engine: create_engine(…)")
        self._app, self._engine = app, engine
        self.table = build_table(metadata if metadata is not None else MetaData(), table)
        if every is not None:
            declare_relay(app, self.relay, job, every)

    def create_table(self) -> None:
        """Create the table where it does not exist."""
        self.table.create(self._engine, checkfirst=True)

    def enqueue(
        self, session: Session | Connection, task: TaskHandle[..., Any] | Request | str, *args: Any, **kwargs: Any
    ) -> RunHandle[Any]:
        """Store a call in the transaction of a session or connection. Returns the handle of its run.

        task: a task, also with options (`send.options(queue="mail")`); a request; or a name. The run is on record once
        the transaction is committed and the relay has sent it; until then the handle raises UnknownRun.
        Raises InvalidInput, InvalidPayload, PayloadTooLarge.
        """
        if not isinstance(session, Session | Connection):
            raise InvalidInput(
                f"outbox: session is {show(session)}, allowed are a Session and a Connection; see enqueue_async"
            )
        request = build_call(task, args, kwargs)
        session.execute(self._insert(request))
        return self._app.run(request.run_id)

    async def enqueue_async(
        self,
        session: AsyncSession | AsyncConnection,
        task: TaskHandle[..., Any] | Request | str,
        *args: Any,
        **kwargs: Any,
    ) -> RunHandle[Any]:
        """Store a call like `enqueue`, in the transaction of an asyncio session or connection."""
        if not isinstance(session, AsyncSession | AsyncConnection):
            raise InvalidInput(
                f"outbox: session is {show(session)}, allowed are an AsyncSession and an AsyncConnection"
            )
        request = build_call(task, args, kwargs)
        await session.execute(self._insert(request))
        return self._app.run(request.run_id)

    def relay(self) -> int:
        """Send one batch of stored calls. Returns how many rows were looked at. Raises NotConnected."""
        with self._engine.begin() as connection:
            return relay_batch(self._app, _Rows(self.table, connection))

    def count(self) -> dict[str, int]:
        """Return how many rows are `waiting`, and how many are `refused` and stay."""
        is_refused = self.table.c.due_ms == NEVER_MS
        with self._engine.connect() as connection:
            total = connection.scalar(select(func.count()).select_from(self.table)) or 0
            refused = connection.scalar(select(func.count()).select_from(self.table).where(is_refused)) or 0
        return {"waiting": total - refused, "refused": refused}

    def _insert(self, request: Request) -> Any:
        return insert(self.table).values(run_id=request.run_id, call=encode_call(request), due_ms=0, error="")


class _Rows:
    """The rows that one transaction of the relay has locked."""

    def __init__(self, table: Table, connection: Connection) -> None:
        self._table, self._connection = table, connection

    def lock(self, now_ms: int, count: int) -> Sequence[OutboxRow]:
        columns = self._table.c
        due = select(columns.id, columns.call).where(columns.due_ms <= now_ms).order_by(columns.due_ms, columns.id)
        rows = self._connection.execute(due.limit(count).with_for_update(skip_locked=True))
        return [OutboxRow(row.id, row.call) for row in rows]

    def delete(self, ids: Sequence[int]) -> None:
        self._connection.execute(delete(self._table).where(self._table.c.id.in_(ids)))

    def put_off(self, row: int, due_ms: int, error: str) -> None:
        self._connection.execute(update(self._table).where(self._table.c.id == row).values(due_ms=due_ms, error=error))


def build_table(metadata: MetaData, name: str = TABLE) -> Table:
    """Return the table of an outbox. due_ms: Unix milliseconds before which a row is not sent. error: why it waits."""
    return Table(
        name,
        metadata,
        # SQLite counts up only a key that is an INTEGER.
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        Column("run_id", String(64), nullable=False, unique=True),
        Column("call", Text, nullable=False),
        Column("due_ms", BigInteger, nullable=False),
        Column("error", Text, nullable=False),
        Index(f"{name}_due", "due_ms", "id"),
    )
