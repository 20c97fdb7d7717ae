"""The loop of `jobistemer dev`: read a snapshot, show it, replace processes that ended, until the end."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click

from jobistemer.app import Jobistemer
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.safe_text import escape_text
from jobistemer.dev.event_log import HIGHLIGHT_PREFIX, EventLog
from jobistemer.dev.kill_worker import WorkerKiller
from jobistemer.dev.processes import ProcessGroup, find_free_port
from jobistemer.dev.snapshot import RunRate, Snapshot, read_snapshot
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.server.connection import redact_url

POLL_S = 0.5
MAX_EVENTS = 200

Display = Callable[[Snapshot, float], None]
"""Shows a snapshot and the rate in runs per second."""


class SessionOptions(NamedTuple):
    """The options of a session. seconds and kill_after are None for never; port: of the dashboard, 0 for none."""

    load: Callable[[str | None], Jobistemer]
    url: str | None
    app: str | None
    workers: int
    worker_arguments: tuple[str, ...]
    seconds: float | None
    kill_after: float | None
    port: int


class DevSession:
    """One session. Events are kept for the screen; without a terminal they are printed as they come."""

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        self._events: deque[str] = deque(maxlen=MAX_EVENTS)
        self._prints_lines = not sys.stdout.isatty()
        self._shutdown = Shutdown()
        self._processes = ProcessGroup(on_line=lambda name, line: self._log(f"[{name}] {line}"), on_event=self._log)
        self._event_log = EventLog()
        self._run_rate = RunRate()
        self._redacted_url = ""
        self._dashboard_url = ""

    def run(self) -> None:
        """Run until Ctrl-C, SIGTERM or the end of the time, and end every process, whatever happens."""
        self._shutdown.listen()
        try:
            app, killer = self._set_up()
            with self._open_display() as display:
                self._loop(app, killer, display)
        finally:
            self._processes.end(self._shutdown.immediate)
        for line in (*self._event_log.summary(), *(killer.summary() if killer else ())):
            click.echo(line)

    def _set_up(self) -> tuple[Jobistemer, WorkerKiller | None]:
        options = self._options
        url = options.url or self._processes.start_server()
        app = options.load(url)
        self._redacted_url = redact_url(url)
        deployed_jobs = app.deploy()
        click.echo(f"in another terminal: JOBISTEMER_URL={self._redacted_url} jobistemer job list")
        port = find_free_port(options.port) if options.port else 0
        if port:
            self._dashboard_url = f"http://127.0.0.1:{port}/"
            click.echo(f"dashboard: {self._dashboard_url}")
        for deployed in deployed_jobs:
            click.echo(escape_text(f"job {deployed.job}: {deployed.word.lower()}, version {deployed.version}"))
        environment = {"JOBISTEMER_URL": url, "JOBISTEMER_NAMESPACE": app.namespace.name}
        if options.app:
            environment["JOBISTEMER_APP"] = options.app
        self._processes.start(environment, options.workers, options.worker_arguments, port)
        if options.kill_after is None:
            return app, None
        at_ms = app.namespace.clock.now_ms() + round(options.kill_after * 1000)
        return app, WorkerKiller(self._processes, app.namespace, at_ms, self._announce)

    def _loop(self, app: Jobistemer, killer: WorkerKiller | None, display: Display) -> None:
        ends_at = time.monotonic() + (self._options.seconds or float("inf"))
        while time.monotonic() < ends_at and not self._shutdown.requested.wait(POLL_S):
            self._processes.replace_ended()
            try:
                snapshot = read_snapshot(app.namespace)
                if killer is not None:
                    killer.update(snapshot)
            except (NotConnected, ServerRefused) as error:
                self._log(str(error))
                continue
            for line in self._event_log.new_events(snapshot):
                self._log(line)
            display(snapshot, self._run_rate.update(snapshot))

    @contextmanager
    def _open_display(self) -> Iterator[Display]:
        if self._prints_lines:
            yield self._print_status
            return
        from jobistemer.dev.screen import open_screen  # noqa: PLC0415 - without a terminal it would be 2.3 MB for nothing

        with open_screen() as show:
            yield lambda snapshot, rate: show(snapshot, self._heading(snapshot, rate), self._events)

    def _heading(self, snapshot: Snapshot, rate: float) -> str:
        dashboard = f"{self._dashboard_url} · " if self._dashboard_url else ""
        figures = f"{rate:.0f} runs/s · {snapshot.delayed} delayed"
        return f" {dashboard}JOBISTEMER_URL={self._redacted_url} · {figures} · Ctrl-C ends it "

    def _print_status(self, snapshot: Snapshot, rate: float) -> None:
        for line in self._event_log.status_lines(snapshot, rate):
            self._log(line)

    def _announce(self, line: str) -> None:
        self._log(f"{HIGHLIGHT_PREFIX} {line}")

    def _log(self, line: str) -> None:
        self._events.append(escape_text(line))
        if self._prints_lines:
            click.echo(escape_text(line))
