"""The loop of `jobistemer dev`: look, show, tend, until the end is asked for."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click
from rich.console import Console
from rich.live import Live

from jobistemer.app import Jobistemer
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.safe_text import printable
from jobistemer.dev.event_log import Chronicle
from jobistemer.dev.kill_worker import Takeover
from jobistemer.dev.ports import free_port
from jobistemer.dev.processes import Crew
from jobistemer.dev.screen import ANNOUNCED, screen
from jobistemer.dev.snapshot import Pace, Scene, look
from jobistemer.runtime.shutdown import Stopping
from jobistemer.store.server.connection import redacted

LOOK_S = 0.5
KEPT_EVENTS = 200

Show = Callable[[Scene, float], None]
"""Shows a scene and the pace, in runs per second."""


class Plan(NamedTuple):
    """What is to be played. seconds and kill_after are None for never; port: that of the dashboard, 0 for none."""

    load: Callable[[str | None], Jobistemer]
    url: str | None
    app: str | None
    workers: int
    worker_arguments: tuple[str, ...]
    seconds: float | None
    kill_after: float | None
    port: int


class Stage:
    """One performance: events are kept for the screen, or printed as they come when there is no terminal."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._events: deque[str] = deque(maxlen=KEPT_EVENTS)
        self._printing = not sys.stdout.isatty()
        self._stopping = Stopping()
        self._crew = Crew(hear=lambda name, line: self._tell(f"[{name}] {line}"), tell=self._tell)
        self._chronicle = Chronicle()
        self._pace = Pace()
        self._shown_url = ""
        self._address = ""

    def perform(self) -> None:
        """Play until Ctrl-C, SIGTERM or the end of the time; nobody is left behind, whatever happens."""
        self._stopping.listen()
        try:
            app, takeover = self._set_up()
            with self._curtain() as show:
                self._play(app, takeover, show)
        finally:
            self._crew.end(self._stopping.immediate)
        for line in (*self._chronicle.summary(), *(takeover.summary() if takeover else ())):
            click.echo(line)

    def _set_up(self) -> tuple[Jobistemer, Takeover | None]:
        plan = self._plan
        url = plan.url or self._crew.start_server()
        app = plan.load(url)
        self._shown_url = redacted(url)
        deployed = app.deploy()
        click.echo(f"in another terminal: JOBISTEMER_URL={self._shown_url} jobistemer job list")
        port = free_port(plan.port) if plan.port else 0
        if port:
            self._address = f"http://127.0.0.1:{port}/"
            click.echo(f"dashboard: {self._address}")
        for registered in deployed:
            click.echo(printable(f"job {registered.job}: {registered.word.lower()}, version {registered.version}"))
        environment = {"JOBISTEMER_URL": url, "JOBISTEMER_NAMESPACE": app.namespace.name}
        if plan.app:
            environment["JOBISTEMER_APP"] = plan.app
        self._crew.start(environment, plan.workers, plan.worker_arguments, port)
        if plan.kill_after is None:
            return app, None
        at_ms = app.namespace.clock.now_ms() + round(plan.kill_after * 1000)
        return app, Takeover(self._crew, app.namespace, at_ms, self._announce)

    def _play(self, app: Jobistemer, takeover: Takeover | None, show: Show) -> None:
        ends_at = time.monotonic() + (self._plan.seconds or float("inf"))
        while time.monotonic() < ends_at and not self._stopping.requested.wait(LOOK_S):
            self._crew.tend()
            try:
                scene = look(app.namespace)
                if takeover is not None:
                    takeover.follow(scene)
            except (NotConnected, ServerRefused) as error:
                self._tell(str(error))
                continue
            for line in self._chronicle.news(scene):
                self._tell(line)
            show(scene, self._pace.of(scene))

    @contextmanager
    def _curtain(self) -> Iterator[Show]:
        if self._printing:
            yield self._print_status
            return
        console = Console(highlight=False, markup=False)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            yield lambda scene, pace: live.update(
                screen(scene, self._heading(scene, pace), list(self._events), console.height), refresh=True
            )

    def _heading(self, scene: Scene, pace: float) -> str:
        shown = f"{self._address} · " if self._address else ""
        figures = f"{pace:.0f} runs/s · {scene.delayed} delayed"
        return f" {shown}JOBISTEMER_URL={self._shown_url} · {figures} · Ctrl-C ends it "

    def _print_status(self, scene: Scene, pace: float) -> None:
        for line in self._chronicle.status(scene, pace):
            self._tell(line)

    def _announce(self, line: str) -> None:
        self._tell(f"{ANNOUNCED} {line}")

    def _tell(self, line: str) -> None:
        self._events.append(printable(line))
        if self._printing:
            click.echo(printable(line))
