"""`jobistemer top`: the command, its loop and its keys."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from threading import Thread

import click
from rich.console import Console
from rich.live import Live

from jobistemer.cli.author_option import by_option
from jobistemer.cli.session import Session, with_session
from jobistemer.cli.top.actions import ACTION_KEYS, TopAction, find_action
from jobistemer.cli.top.details import Details, read_details
from jobistemer.cli.top.parts import NAMES, Part, Target, build_parts
from jobistemer.cli.top.rates import Rates, compute_rates
from jobistemer.cli.top.screen import render_details, render_screen
from jobistemer.cli.top.snapshot import TopSnapshot, open_counting_shards, take_snapshot
from jobistemer.cli.top.view import ALL, ENTER
from jobistemer.core.errors import JobistemerError, NotConnected, ServerRefused
from jobistemer.runtime.process_info import user_name
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import exit_on_signal
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import redact_url
from jobistemer.terminal.keyboard import ESCAPE, RESIZED, Keyboard, open_keyboard

_NUMBERED = " ".join(f"{number} {name}" for number, name in enumerate(NAMES, 1))
HELP = (
    f"{_NUMBERED} 0 all · Tab next · ↑↓ or j k select · / filter · s sort · Enter details · "
    f"{ACTION_KEYS} · p pause the screen · q end"
)
DETAIL_HELP = f"Esc or Enter goes back · {ACTION_KEYS} · q ends it"
REFRESH_S, KEY_POLL_S = 1.0, 0.05
LEAVING_KEYS = (*ENTER, ESCAPE, *(str(number) for number in range(10)), "\t")
"""The keys that lead from the details back to the tables."""
SLOW_AFTER_S = 1.0
"""A read that takes longer than so many seconds is reported while it is under way."""


FindAction = Callable[[str, Target], TopAction | None]


class Monitor:
    """The latest snapshot, its rates, and the error of the latest read."""

    def __init__(self, title: str, namespace: Namespace) -> None:
        self.title = title
        self._namespace = namespace
        self._shards = open_counting_shards(namespace)
        shards = self._shards
        self.target: Target | None = None
        self.details: Details | None = None
        self.snapshot = take_snapshot(shards)
        self.rates = Rates()
        self.error = ""

    def refresh(self) -> None:
        """Read a new snapshot. Raises NotConnected or ServerRefused, and then keeps the old one."""
        now, target = take_snapshot(self._shards), self.target
        self.details = read_details(self._namespace, target) if target else None
        self.rates, self.snapshot, self.error = compute_rates(self.snapshot, now, self.rates), now, ""

    def try_refresh(self) -> None:
        """Read a new snapshot; keep the error when that fails."""
        try:
            self.refresh()
        except (NotConnected, ServerRefused) as error:
            self.error = str(error)

    def to_dict(self) -> dict[str, object]:
        """Return the answer of `--json`."""
        return {"seen": self.snapshot, "rates": self.rates}


class LiveView:
    """The screen on a terminal, redrawn every second and after each key."""

    def __init__(self, top: Monitor, keys: Keyboard, live: Live, find: FindAction) -> None:
        self._top = top
        self._find = find
        self._keys = keys
        self._live = live
        self._paused = False
        self._view = ALL
        self._helps = False
        self._asked: TopAction | None = None
        self._said = ""

    def run(self) -> None:
        """Read and draw every second, until `q` is pressed."""
        self._draw()
        while not self._handle_keys(REFRESH_S):
            if not self._paused:
                if self._wait_for(start_thread(self._top.try_refresh, "look")):
                    return
                self._draw()

    def _wait_for(self, refresh: Thread) -> bool:
        """Handle keys while a read is under way: a server that does not answer holds it until the client gives up.

        Returns True when `q` was pressed.
        """
        began = time.monotonic()
        refresh.join(KEY_POLL_S)
        while refresh.is_alive():
            waited = time.monotonic() - began
            if waited > SLOW_AFTER_S:
                self._top.error = f"the server has not answered for {waited:.0f} s"
                self._draw()
            if self._handle_keys(KEY_POLL_S):
                return True
        return False

    def _handle_keys(self, seconds: float) -> bool:
        for key in self._keys.read_keys(seconds):
            if key == "q" and not self._view.types:
                return True
            self._press(key)
            self._draw()
        return False

    def _press(self, key: str) -> None:
        if self._asked is not None:
            self._answer(self._asked, key)
        elif self._top.target is not None and key in LEAVING_KEYS:
            self._top.target = self._top.details = None
        elif self._view.types:
            self._view = self._view.press(key)
        elif key == "p":
            self._paused = not self._paused
        elif key == "?":
            self._helps = not self._helps
        elif key in ENTER and (target := self._view.find_target(self._parts())):
            self._top.target = target
            self._top.try_refresh()
        elif key.isupper() and key.isascii() and (target := self._top.target or self._view.find_target(self._parts())):
            self._asked, self._said = self._find(key, target), ""
        else:
            self._view = self._view.press(key)

    def _answer(self, asked: TopAction, key: str) -> None:
        if key == RESIZED:
            return
        self._asked, self._said = None, "nothing was done"
        if key in ("y", "Y"):
            try:
                self._said = asked.perform()
            except JobistemerError as error:
                self._said = str(error)
            self._top.try_refresh()

    def _parts(self) -> list[Part]:
        return build_parts(self._top.snapshot, self._top.rates)

    def _draw(self) -> None:
        top, height = self._top, self._live.console.height
        title, foot = f"{'PAUSED · ' if self._paused else ''}{top.title}", f" {self._foot()}"
        if top.details is not None:
            self._live.update(render_details(top.details, title, foot, height), refresh=True)
            return
        self._live.update(render_screen(top.snapshot, top.rates, title, foot, height, self._view), refresh=True)

    def _foot(self) -> str:
        if self._asked is not None:
            return f"{self._asked.question}? y / n"
        if self._view.types:
            return f"/{self._view.filter}▏ Enter keeps it · Esc drops it"
        keys = (
            HELP
            if self._helps
            else DETAIL_HELP
            if self._top.target
            else f"q ends it · p {'continues' if self._paused else 'pauses'} · ? keys"
        )
        wanted = f"/{self._view.filter}" if self._view.filter else ""
        return " · ".join(filter(None, (self._said, wanted, keys, self._top.error or _format_cost(self._top.snapshot))))


@click.command("top")
@click.option(
    "--once", is_flag=True, help="Print one page about one second and end; the default when there is no terminal."
)
@by_option
@with_session
def top_command(session: Session, *, once: bool, by: str | None) -> None:
    """Watch jobs, queues, workers, tickers, running and failed runs, and act on them; q quits, ? shows the keys.

    A number shows one table alone, in which the arrows select a row, `/` filters, `s` sorts by the next column, and
    Enter shows the row in detail, a run with the end of its log. Capital letters act on that row, after a question: P
    pauses or resumes a job or a queue, T triggers a job, R replays a dead letter, X cancels a run, Q lets a worker
    fetch nothing more.

    The screen is refreshed every second. The cost does not depend on the number of records; the last line shows it.
    `in/s` and `out/s` need Redis 7 or newer: older servers do not count the entries taken from a stream.
    """
    namespace = session.namespace
    top = Monitor(f"jobistemer top · {redact_url(namespace.url)} · {namespace.name}", namespace)
    if once or session.as_json or not sys.stdout.isatty():
        time.sleep(REFRESH_S)
        top.refresh()
        session.print_answer(
            top.to_dict(), lambda: render_screen(top.snapshot, top.rates, top.title, f" {_format_cost(top.snapshot)}")
        )
        return
    signal.signal(signal.SIGTERM, exit_on_signal)
    console = Console(highlight=False, markup=False)
    with open_keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        LiveView(top, keys, live, lambda key, target: find_action(namespace, by or user_name(), key, target)).run()


def _format_cost(snapshot: TopSnapshot) -> str:
    return f"{snapshot.cost.commands} commands in {snapshot.cost.ms:g} ms a look"
