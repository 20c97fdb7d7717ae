"""The app object: an application declares its tasks and jobs on it, and enqueues calls with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import msgspec

from jobistemer.app.declared_queues import find_declared_queues
from jobistemer.app.handles import RunHandle
from jobistemer.app.producer import SentCall
from jobistemer.app.project import add_default_options, find_place
from jobistemer.app.registry import Registry
from jobistemer.app.request import Request, Unique, build_request, lock_name
from jobistemer.app.transaction_enqueue import prepare_follow_up
from jobistemer.core.checks import LONGEST_ID, check_id, check_range, check_text, show
from jobistemer.core.durations import instant_ms
from jobistemer.core.errors import InvalidInput, Misconfigured
from jobistemer.core.handlers.hooks import MiddlewareChain, Plugins
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.report import Report
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.sizes import DEFAULT_SIZES, Sizes
from jobistemer.core.text import join_some, pluralize
from jobistemer.runtime.offload import twin
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.reports import find_report
from jobistemer.store.server.connection import DEFAULT_URL

# A worker, and an application that only enqueues, never ask for control: they save half a megabyte, and its import of
# 10 ms is paid where it is first asked for. See docs/decisions/0003.
if TYPE_CHECKING:
    from jobistemer.app.health import Health
    from jobistemer.app.job_control import AppJobControl
    from jobistemer.app.running import Running
    from jobistemer.control.dead_letters import DeadLetters
    from jobistemer.control.definitions import Registration
    from jobistemer.control.queues import Holds, QueueControl
    from jobistemer.core.reads.stats import Stats

_log = logging.getLogger("jobistemer.app")


def _create_control(app: Registry) -> AppJobControl:
    from jobistemer.app.job_control import AppJobControl  # noqa: PLC0415 - see above

    return AppJobControl(app)


def _create_queues(app: Registry) -> QueueControl:
    from jobistemer.control.queues import QueueControl  # noqa: PLC0415 - see above

    return QueueControl(app.namespace)


def _create_holds(app: Registry) -> Holds:
    from jobistemer.control.queues import Holds  # noqa: PLC0415 - see above

    return Holds(app.namespace)


def _create_dead(app: Registry) -> DeadLetters:
    from jobistemer.control.dead_letters import DeadLetters  # noqa: PLC0415 - see above

    return DeadLetters(app.namespace)


class Jobistemer(Registry):
    """The tasks and jobs of an application, with the server that its calls go to.

    url: the server. namespace: the prefix of all keys. By default JOBISTEMER_URL and JOBISTEMER_NAMESPACE say them,
    else the nearest pyproject.toml, else they are redis://localhost:6379/0 and `jobistemer`; the same in every process.
    shards: see the reference; 1 unless the namespace was created with more. defaults: options of every task; where
    they set none, JOBISTEMER_DEFAULT_TIMEOUT and its like do.
    sizes: the maximum sizes of payloads and results.
    No connection is made before something is enqueued or looked up. Raises Misconfigured.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        shards: int | None = None,
        defaults: Options | None = None,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> None:
        if url is not None and not isinstance(url, str):
            raise Misconfigured(f"url is {show(url)}, allowed is a text such as {DEFAULT_URL}")
        if not isinstance(sizes, Sizes):
            raise Misconfigured(f"sizes are {show(sizes)}, allowed is Sizes(payload_bytes=…, result_bytes=…)")
        place = find_place(url, namespace)
        opened = Namespace(place.url.value, place.namespace.value, shards, source=place.source)
        _log.info("this app uses %s", opened)
        if defaults is not None and not isinstance(defaults, Options):
            raise Misconfigured(f"defaults are {show(defaults)}, allowed are Options(queue=…, timeout_s=…, …)")
        super().__init__(opened, add_default_options(defaults or Options()), sizes)
        self.middleware = MiddlewareChain()
        self.owner = ""

    control = cached_property(_create_control)
    queues = cached_property(_create_queues)
    holds = cached_property(_create_holds)
    dead = cached_property(_create_dead)

    @property
    def plugins(self) -> Plugins:
        """Return the middleware, hooks and preparation of calls that a worker takes from the app."""
        prepare = partial(prepare_follow_up, self.producer)
        return Plugins(self.middleware, self.hooks, prepare, self.worker_hooks, self.providers.overrides)

    def enqueue(self, task: str, payload: Mapping[str, Any] | None = None, **call: Any) -> RunHandle[Any]:
        """Enqueue a call of the task with this name; the code of the task need not be known here.

        call: the options of `TaskHandle.options`. Returns the handle of the run.
        Raises InvalidPayload, PayloadTooLarge, InvalidInput, QueueClosed or NotConnected.
        """
        return self._build_handle(self.producer.send(build_request(task, payload, **call)))

    async def enqueue_async(self, task: str, payload: Mapping[str, Any] | None = None, **call: Any) -> RunHandle[Any]:
        """Enqueue a call like `enqueue`, awaited."""
        return self._build_handle(await self.producer.send_async(build_request(task, payload, **call)))

    def enqueue_at(
        self, at: datetime, task: str, payload: Mapping[str, Any] | None = None, **call: Any
    ) -> RunHandle[Any]:
        """Enqueue a call like `enqueue`; its run may start at the given instant."""
        return self.enqueue(task, payload, at=at, **call)

    def enqueue_many(self, requests: Iterable[Request]) -> list[RunHandle[Any]]:
        """Enqueue many calls, a thousand a round trip; requests come from `task.request(…)` or `app.request(…)`.

        Returns the handles of the runs in the same order. An error leaves the runs of earlier thousands enqueued.
        Raises what `enqueue` raises.
        """
        if not isinstance(requests, Iterable):
            raise InvalidInput(f"calls are {show(requests)}, allowed are several: enqueue_many([task.request(…), …])")
        return [self._build_handle(sent) for sent in self.producer.send_many(requests)]

    def request(self, task: str, payload: Mapping[str, Any] | None = None, **call: Any) -> Request:
        """Return a call as a value, for `enqueue_many` and transactions; nothing is sent."""
        return build_request(task, payload, **call)

    def run(self, run_id: str) -> RunHandle[Any]:
        """Return the handle of a run by its id; its methods raise UnknownRun for a run without a record.

        Raises InvalidInput for an id that is not a text.
        """
        return RunHandle(self.namespace, check_id("run id", run_id), None, msgspec.json.decode, existing=True)

    def signal(
        self,
        run: str | RunHandle[Any],
        name: str,
        value: Any = None,
        *,
        signal_id: str = "",
        by: str = "",
        task: str = "",
    ) -> bool:
        """Send a signal to a run: it wakes a handler that waits for it by `ctx.wait_for`, and is kept for one later.

        run: its id, its handle, or its unique key. signal_id: one that was sent before counts once. by: the author, who
        is on the list of changes then. task: with a unique key, its task; by default those of this app are tried.
        A value that does not fit is refused: when the run waits for it, or when the task of this app declares its type,
        `@app.task(signals={…})`.
        Returns whether the signal is new. Raises UnknownRun, RunEnded, InvalidInput, InvalidPayload or NotConnected.
        """
        from jobistemer.control.signals import find_run_by_key, signal_run  # noqa: PLC0415 - see above

        given = run.id if isinstance(run, RunHandle) else check_id("run id", run)
        if not given.startswith("run_"):
            locks = [lock_name(each, Unique(given)) for each in ([task] if task else self.handlers)]
            given = find_run_by_key(self.namespace, locks, given)
        return signal_run(self.namespace, given, name, value, signal_id=signal_id, by=by, handlers=self.handlers)

    def deploy(self) -> list[Registration]:
        """Register every declared job, except where the registered definition is equal or newer.

        Processes may do this at each start: an old process that starts beside new ones undoes nothing; a warning in the
        log names what stays as it is. To go back to an earlier definition, to see a plan first, and to remove jobs that
        are no longer declared, use `jobistemer deploy`.
        Returns a registration for each job. Raises InvalidDefinition, StaleDefinition or NotConnected.
        """
        registered = self.control.register_all(self.jobs(), owner=self.owner, keep_newer=True)
        older = [each.job for each in registered if each.word == "OLDER"]
        if older:
            _log.warning(
                "%d of %s stay as a newer release has registered them: %s; `jobistemer deploy` applies this app's",
                len(older),
                pluralize(len(registered), "job"),
                join_some(older),
            )
        return registered

    def report(self, occurrence_id: str) -> Report:
        """Return the execution report of an occurrence, also while it goes on. Raises UnknownOccurrence."""
        return find_report(self.namespace.shards, check_id("occurrence id", occurrence_id))

    def health(self, timeout: float = 2.0) -> Health:
        """Return what a probe of this application can tell: the server, tickers, and workers for the app's queues.

        It takes `timeout` seconds at most, and raises nothing when the server is away. Raises InvalidInput.
        """
        from jobistemer.app.health import find_health  # noqa: PLC0415 - see above

        check_range("timeout", timeout, 0.001, 3600, InvalidInput)
        return find_health(self.namespace, list(find_declared_queues(self)), timeout)

    def running(self, *, ticker: bool = False, worker: int | WorkerSettings = 0) -> Running:
        """Return a context in which this process runs a ticker, a worker, or both: `with app.running(worker=8): …`.

        They run in threads and touch no signals, so an application with a life of its own can have them: a web
        process, a console, a test. worker: the number of slots, or WorkerSettings; without these the worker serves the
        queues of the app. At the end of the block they end in order, within the worker's grace period. It is a context
        for `async with` as well. Raises Misconfigured.
        """
        from jobistemer.app.running import Running  # noqa: PLC0415 - see above

        return Running(self, ticker=ticker, worker=worker)

    def stats(self, *, queue: str = "", task: str = "", since: datetime | None = None) -> Stats:
        """Return how many runs are pending, running and delayed, and how many ended how, and since when.

        queue, task: only those; empty for all. since: ends are counted from its day (UTC) on; None for all that are
        kept, 31 days. It reads more than a producer may: its user needs the rights of a viewer as well.
        Raises InvalidInput, NotConnected or ServerRefused.
        """
        from jobistemer.control.stats import read_stats  # noqa: PLC0415 - see above

        for kind, name in (("queue", queue), ("task", task)):
            check_text(kind, name, LONGEST_ID, InvalidInput)
        since_ms = 0 if since is None else instant_ms("since", since)
        return read_stats(self.namespace.shards, queue, task, since_ms)

    health_async = twin(health)
    stats_async = twin(stats)
    enqueue_many_async = twin(enqueue_many)
    signal_async = twin(signal)
    deploy_async = twin(deploy)
    report_async = twin(report)

    def _build_handle(self, sent: SentCall) -> RunHandle[Any]:
        handler = self.handlers.get(sent.task)
        decode = handler.decode_result if handler else msgspec.json.decode
        return RunHandle(self.namespace, sent.run, sent.shard, decode, existing=sent.existing)
