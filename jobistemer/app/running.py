"""Ticker and worker inside of a process of the application, in threads, without signals."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from jobistemer.app.declared_queues import find_declared_queues
from jobistemer.core.errors import JobistemerError, Misconfigured
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime.offload import offload
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown

if TYPE_CHECKING:
    from jobistemer.app.application import Jobistemer

log = logging.getLogger("jobistemer.app")

END_S = 5.0
"""How long ticker and worker may take to leave after the grace period (s)."""


class Running:
    """Ticker and worker of an app while a `with` or an `async with` block lasts; they end in order with it."""

    def __init__(self, app: Jobistemer, *, ticker: bool, worker: int | WorkerSettings) -> None:
        self._app = app
        self._ticker = ticker
        self._settings = _read_settings(app, worker)
        self._shutdown = Shutdown()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._shutdown = Shutdown()
        # All of them are made before one is started, so a setting that is refused leaves nothing behind.
        roles = [each for each in (self._make_ticker(), self._make_worker()) if each is not None]
        self._threads = [start_thread(self._guard(run, name), name) for name, run in roles]
        return self

    def __exit__(self, *_: object) -> None:
        self._shutdown.request()
        grace_s = self._settings.grace_s if self._settings else 0.0
        for thread in self._threads:
            thread.join(grace_s + END_S)
        left = [each.name for each in self._threads if each.is_alive()]
        if left:
            log.warning("%s did not end within the grace period; what they hold comes back by its lease", left)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        await offload(self.__exit__)

    def quiet(self) -> None:
        """Take no new work from now on; what runs goes on."""
        self._shutdown.quiet.set()

    def _make_ticker(self) -> tuple[str, Callable[[Shutdown], None]] | None:
        if not self._ticker:
            return None
        # By name, as below: who only enqueues loads no roles, and the units of the roles do not know one another.
        role: Any = import_module("jobistemer.ticker").Ticker(self._app.namespace, TickerSettings())
        return "ticker", role.run

    def _make_worker(self) -> tuple[str, Callable[[Shutdown], None]] | None:
        if self._settings is None:
            return None
        app = self._app
        role: Any = import_module("jobistemer.worker").Worker(app.namespace, app.handlers, self._settings, app.plugins)
        return "worker", role.run

    def _guard(self, run: Callable[[Shutdown], None], name: str) -> Callable[[], None]:
        def guarded() -> None:
            try:
                run(self._shutdown)
            except JobistemerError as error:
                log.error("the %s of this process has ended: %s", name, error)

        return guarded


def _read_settings(app: Jobistemer, worker: int | WorkerSettings) -> WorkerSettings | None:
    if isinstance(worker, WorkerSettings):
        return worker
    if isinstance(worker, bool) or not isinstance(worker, int):
        raise Misconfigured(f"worker is {worker!r:.80}, allowed are the number of slots, 0 for none, or WorkerSettings")
    if not worker:
        return None
    return WorkerSettings(concurrency=worker, queues=find_declared_queues(app))
