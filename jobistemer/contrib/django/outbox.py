"""The outbox in Django's database: calls that are stored in a transaction of the ORM, and sent after its commit.

    # shop/tasks.py
    outbox = DjangoOutbox(app)

    with transaction.atomic():
        order.save()
        outbox.enqueue(send_receipt, order=order.id)     # both, or neither

See `jobistemer.contrib.outbox` for what is promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections, transaction

from jobistemer.app import Jobistemer, RunHandle, TaskHandle
from jobistemer.app.request import Request
from jobistemer.contrib.app_check import check_app
from jobistemer.contrib.outbox_calls import NEVER_MS, OutboxRow, build_call, declare_relay, encode_call, relay_batch

JOB = "outbox-relay"


class DjangoOutbox:
    """The outbox of an app. using: the alias of the database. every: see `jobistemer.contrib.outbox.Outbox`.

    Raises Misconfigured for what is no app.
    """

    def __init__(self, app: Jobistemer, *, using: str = "default", job: str = JOB, every: float | None = 1.0) -> None:
        self._app, self._using = check_app("the outbox", app), using
        if every is not None:
            declare_relay(app, self.relay, job, every)

    def enqueue(self, task: TaskHandle[..., Any] | Request | str, *args: Any, **kwargs: Any) -> RunHandle[Any]:
        """Store a call in the current transaction. Returns its run's handle. Raises InvalidInput or InvalidPayload."""
        request = build_call(task, args, kwargs)
        self._rows().create(run_id=request.run_id, call=encode_call(request))
        return self._app.run(request.run_id)

    async def enqueue_async(
        self, task: TaskHandle[..., Any] | Request | str, *args: Any, **kwargs: Any
    ) -> RunHandle[Any]:
        """Store a call like `enqueue`, awaited; Django's transactions are those of synchronous code."""
        request = build_call(task, args, kwargs)
        await self._rows().acreate(run_id=request.run_id, call=encode_call(request))
        return self._app.run(request.run_id)

    def relay(self) -> int:
        """Send one batch of stored calls. Returns how many rows were looked at. Raises NotConnected."""
        with transaction.atomic(using=self._using):
            return relay_batch(self._app, _Rows(self._rows(), self._using))

    def count(self) -> dict[str, int]:
        """Return how many rows are `waiting`, and how many are `refused` and stay."""
        refused = self._rows().filter(due_ms=NEVER_MS).count()
        return {"waiting": self._rows().count() - refused, "refused": refused}

    def _rows(self) -> Any:
        from jobistemer.contrib.django.models import OutboxCall  # noqa: PLC0415 - models exist once Django is set up

        return OutboxCall.objects.using(self._using)


class _Rows:
    """The rows that one transaction of the relay has locked."""

    def __init__(self, rows: Any, using: str) -> None:
        self._rows, self._using = rows, using

    def lock(self, now_ms: int, count: int) -> Sequence[OutboxRow]:
        due = self._rows.filter(due_ms__lte=now_ms).order_by("due_ms", "id")
        features = connections[self._using].features
        if features.has_select_for_update:
            due = due.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
        else:
            # SQLite locks the whole database, with the first write. Were that the deletion behind the look, it would be
            # refused as soon as anybody else had begun to write in between, as the run does that was sent.
            self._rows.filter(pk=-1).update(due_ms=now_ms)
        return [OutboxRow(row.pk, row.call) for row in due[:count]]

    def delete(self, ids: Sequence[int]) -> None:
        self._rows.filter(pk__in=ids).delete()

    def put_off(self, row: int, due_ms: int, error: str) -> None:
        self._rows.filter(pk=row).update(due_ms=due_ms, error=error)
