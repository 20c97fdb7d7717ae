"""Calls that are enqueued when the transaction of the database has been committed."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from jobistemer.app import TaskHandle
from jobistemer.app.request import Request
from jobistemer.contrib.django.project import get_app
from jobistemer.contrib.outbox_calls import build_call


def enqueue_on_commit(
    task: TaskHandle[..., Any] | Request | str, *args: Any, using: str | None = None, **kwargs: Any
) -> str:
    """Enqueue a call once the current transaction is committed; at once without one. Returns the id of its run.

    The call is checked now. A process that dies between the commit and the call loses it: where that must not be, store
    it with `jobistemer.contrib.django.outbox`. Raises InvalidInput, InvalidPayload.
    """
    request = build_call(task, args, kwargs)
    transaction.on_commit(lambda: get_app().enqueue_many([request]), using=using)
    return request.run_id
