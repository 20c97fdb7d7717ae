"""The functions that an application has a worker call at its start and its end, within bounds of time.

Coroutine functions are awaited on the event loop on which handlers run: what they make, such as a pool of connections,
belongs to this loop. A worker whose handlers are all plain functions has a loop for them alone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from jobistemer.core.errors import StartFailed
from jobistemer.core.handlers.worker_hooks import WorkerHooks, call_worker_hook, is_asynchronous
from jobistemer.runtime.hooks import call_stop_hooks, name_hook
from jobistemer.runtime.repeat import run_within, start_thread
from jobistemer.runtime.shutdown import Shutdown

STOP_S = 5.0
"""How long the functions at the end may take together."""
LOOK_S = 0.05
"""How often a worker that starts looks whether its functions have ended, or it is to end itself."""

FindLoop = Callable[[], asyncio.AbstractEventLoop | None]

log = logging.getLogger("jobistemer.worker")


class ProcessHooks:
    """The start and stop functions of one worker. find_loop: the event loop of its handlers at this moment, or None."""

    def __init__(self, hooks: WorkerHooks, find_loop: FindLoop) -> None:
        self._hooks = hooks
        self._find_loop = find_loop
        self._runner: asyncio.Runner | None = None

    def start(self, shutdown: Shutdown) -> bool:
        """Call the functions of the start, in order. Returns False when the worker is to end before they have ended.

        Raises StartFailed.
        """
        if not self._hooks.starting:
            return True
        ended, errors = threading.Event(), list[StartFailed]()
        # On a thread: a function that hangs must not keep the worker from ending.
        start_thread(lambda: self._run_starting(errors, ended), "worker start")
        while not ended.wait(LOOK_S):
            if shutdown.requested.is_set():
                return False
        if errors:
            raise errors[0]
        return True

    def stop(self) -> None:
        """Call the functions of the end, the last first, for STOP_S seconds at most. Their exceptions are logged."""
        if self._hooks.stopping and not run_within(STOP_S, self._run_stopping, "worker stop"):
            log.warning("the functions of on_worker_stop have not ended within %g s", STOP_S)

    def _run_starting(self, errors: list[StartFailed], ended: threading.Event) -> None:
        for hook in self._hooks.starting:
            try:
                call_worker_hook(hook, self._wait_for)
            except BaseException as error:
                log.error("the worker does not start", exc_info=error)
                errors.append(StartFailed(f"on_worker_start: {name_hook(hook)} raised {type(error).__name__}: {error}"))
                break
        ended.set()

    def _run_stopping(self) -> None:
        call_stop_hooks(self._hooks, self._wait_for)
        if self._runner is not None:
            self._runner.close()

    def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        loop = self._find_loop()
        if loop is not None:
            asyncio.run_coroutine_threadsafe(coroutine, loop).result()
            return
        self._runner = self._runner or asyncio.Runner()
        self._runner.run(coroutine)


async def renew_resources(hooks: WorkerHooks) -> None:
    """Await the coroutine functions of the start again, on a loop that replaces a blocked one."""
    for hook in filter(is_asynchronous, hooks.starting):
        try:
            await hook()
        except Exception:
            log.exception("%s failed on the event loop that replaces a blocked one", name_hook(hook))
