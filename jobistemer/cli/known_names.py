"""Whether anybody knows a name that a command is about to act on: a typing error would hold or pause nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from jobistemer.app.loading import load_app
from jobistemer.app.project import find_project
from jobistemer.cli.session import Session, WrongValue
from jobistemer.core.checks import check_name, suggest
from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.handler import Handler
from jobistemer.store.reads import queues
from jobistemer.store.reads.job_names import find_limit_names, find_task_names

force_option: Final[Callable[..., Any]] = click.option(
    "--force", is_flag=True, help="Do it for a name that nobody knows yet, too."
)


def check_queue(session: Session, queue: str, *, force: bool) -> None:
    """Raise WrongValue for a queue that nothing was enqueued to and that no worker serves, unless `force`."""
    check_name("queue", queue)
    if force:
        return
    shards = session.namespace.shards
    served = queues.find_served_queues(queues.list_workers(shards), session.now_ms)
    known = served | {each.name for each in queues.list_queues(shards)}
    _check("queue", queue, known, "nothing was enqueued to it, and no worker serves it")


def check_task(session: Session, task: str, *, force: bool) -> None:
    """Raise WrongValue for a task of which no run and no job is on record, and that no app here declares."""
    check_name("task", task)
    if force:
        return
    known = find_task_names(session.namespace)
    if task not in known:
        known |= {each.name for each in _declared_handlers(session)}
    _check("task", task, known, "no run and no job of it is on record")


def check_limit(session: Session, limit: str, *, force: bool) -> None:
    """Raise WrongValue for a limit that no run counts under, and that no app here declares."""
    check_name("limit", limit)
    if force:
        return
    known = find_limit_names(session.namespace)
    if limit not in known:
        known |= {each.name for handler in _declared_handlers(session) for each in handler.limits}
    _check("limit", limit, known, "no run counts under it")


def _declared_handlers(session: Session) -> list[Handler]:
    # The server learns of a task with its first run: one that has had none is known by the code alone, if it is here.
    reference = os.environ.get("JOBISTEMER_APP")
    if not reference and not find_project(Path.cwd()).app:
        return []
    with suppress(Misconfigured):
        return list(load_app(reference, None, session.namespace.name).handlers.values())
    return []


def _check(kind: str, name: str, known: Collection[str], why: str) -> None:
    if name in known:
        return
    meant = suggest(name, known)
    hint = f"{meant} " if meant else ""
    raise WrongValue(f"{kind} {name!r} is not known: {why}; {hint}--force does it all the same")
