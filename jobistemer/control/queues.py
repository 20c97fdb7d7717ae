"""Control of queues, holds and workers at run time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from jobistemer.control.cancel import name_author
from jobistemer.control.changes import ChangeList
from jobistemer.core.checks import LONGEST_ID, check_id, check_name, check_text, show, suggest
from jobistemer.core.durations import LONGEST_WINDOW_S, instant_ms, milliseconds
from jobistemer.core.errors import InvalidInput, NotFound
from jobistemer.core.jobs.limits import limit_name
from jobistemer.core.reads.summaries import Hold, QueueSummary
from jobistemer.core.safe_text import make_storable
from jobistemer.runtime.offload import twin
from jobistemer.store.actions import purge
from jobistemer.store.calls import holds, streams
from jobistemer.store.calls.heartbeats import command_worker
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import queues


class QueueControl:
    """Control of the queues of one namespace; workers learn of a change with their next beat.

    by: the author of the changes, for the list of changes; by default the user of this process and its host.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._changes = ChangeList(namespace, by)

    def list(self) -> list[QueueSummary]:
        """Return every queue by name, with its runs: waiting (by priority and by limit), in flight and delayed."""
        return queues.list_queues(self._namespace.shards)

    def pause(self, queue: str) -> None:
        """Stop all workers from fetching from a queue.

        Runs in flight end, and enqueued runs wait. Raises InvalidName.
        """
        streams.pause_queue(self._namespace.shards, queue)
        self._changes.record("pause queue", queue)

    def resume(self, queue: str) -> None:
        """Let workers fetch from a queue again. Raises InvalidName."""
        streams.resume_queue(self._namespace.shards, queue)
        self._changes.record("resume queue", queue)

    def drain(self, queue: str) -> None:
        """Drain a queue: refuse new runs with QueueClosed, while workers execute those that wait.

        Raises InvalidName.
        """
        streams.close_queue(self._namespace.shards, queue)
        self._changes.record("drain queue", queue)

    def open(self, queue: str) -> None:
        """Let a queue take new runs again. Raises InvalidName."""
        streams.open_queue(self._namespace.shards, queue)
        self._changes.record("open queue", queue)

    def purge(self, queue: str, reason: str = "by hand") -> int:
        """End the runs that wait in a queue as canceled, with the reason.

        Returns how many runs that were. Raises InvalidName.
        """
        why = make_storable(reason)
        named = make_storable(name_author(reason, self._changes.by))
        purged = purge.purge_queue(self._namespace.shards, check_name("queue", queue), named)
        self._changes.record("purge queue", queue, f"{purged} runs: {why}")
        return purged

    list_async = twin(list)  # noqa: A003 - the method of this class is meant
    pause_async = twin(pause)
    resume_async = twin(resume)
    drain_async = twin(drain)
    open_async = twin(open)  # noqa: A003 - the method of this class is meant
    purge_async = twin(purge)


class Holds:
    """Control of the holds of one namespace.

    While a hold lasts, the runs of one task, or of one value of the key of its limit, wait; other runs do not.
    by: the author of the changes, for the list of changes.
    """

    def __init__(self, namespace: Namespace, by: str | None = None) -> None:
        self._namespace = namespace
        self._changes = ChangeList(namespace, by)

    def put(
        self,
        task: str = "",
        *,
        key: Any = None,
        limit: str = "",
        seconds: float | timedelta | None = None,
        until: datetime | None = None,
    ) -> Hold:
        """Hold a task, or one value of the key of its limit or of a limit that has a name of its own.

        `put("send", key=7, seconds=600)`: customer 7 waits for ten minutes. Workers learn of it with their next beat;
        attempts that are going on end as usual. A hold that is put again counts from now.
        Returns the hold. Raises InvalidInput or InvalidName.
        """
        name = _limit_name(task, key, limit)
        now_ms = self._namespace.shards[0].read_clock()
        if (seconds is None) == (until is None):
            raise InvalidInput(f"hold of {show(name)}: give either seconds or until")
        ends_at = instant_ms("until", until) if until else now_ms + milliseconds("seconds", seconds or 0, least=1)
        if not now_ms < ends_at <= now_ms + LONGEST_WINDOW_S * 1000:
            raise InvalidInput(f"hold of {show(name)} would end at {until}: allowed is a time within the next 366 days")
        holds.put_hold(self._namespace.shards, name, ends_at)
        self._changes.record(
            "put hold", name, f"until {datetime.fromtimestamp(ends_at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        )
        return Hold(name, ends_at, 0)

    def release(self, task: str = "", *, key: Any = None, limit: str = "") -> None:
        """End a hold now; the runs that it has put off return to their queues at once. Raises NotFound."""
        self.release_name(_limit_name(task, key, limit))

    def release_name(self, name: str) -> None:
        """End a hold now by the name that `list` gives it, as `release` does. Raises NotFound."""
        if not holds.release_hold(self._namespace.shards, name):
            meant = suggest(name, [each.name for each in self.list()])
            hint = f"; {meant}" if meant else ""
            raise NotFound(f"{name!r} is not on hold{hint}; `jobistemer hold list` shows what is")
        self._changes.record("release hold", name)

    def list(self) -> list[Hold]:
        """Return the holds by name."""
        return holds.list_holds(self._namespace.shards)

    put_async = twin(put)
    release_async = twin(release)
    list_async = twin(list)  # noqa: A003 - the method of this class is meant


def send_worker_command(namespace: Namespace, worker: str, command: str, by: str | None = None) -> None:
    """Send a worker the command `quiet` or `stop`; the worker reads it with its next beat. Raises NotFound."""
    check_id("worker", worker)
    changes = ChangeList(namespace, by)
    words = [each.call(command_worker(each.keys, worker, command)).word for each in namespace.shards]
    if "TOLD" not in words:
        raise NotFound(f"no worker {show(worker)} is on record; `jobistemer worker list` shows those there are")
    changes.record(f"{command} worker", worker)


def _limit_name(task: str, key: Any, limit: str) -> str:
    if bool(task) == bool(limit):
        raise InvalidInput("say what to hold: a task, or a limit that has a name of its own")
    scope = check_name("limit", limit) if limit else f"task/{check_name('task', task)}"
    if key is None:
        return limit_name(scope)
    try:
        value = str(key)
    except Exception as error:
        raise InvalidInput(f"key is {show(key)}, which cannot be written as a text: {type(error).__name__}") from error
    check_text("key", value, LONGEST_ID, InvalidInput)
    return limit_name(scope, value)
