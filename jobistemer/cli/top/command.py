"""`jobistemer top`: watch what goes on."""

from __future__ import annotations

import signal
import sys
import time
from threading import Thread

import click
from rich.console import Console
from rich.live import Live

from jobistemer.cli.session import Session, operating
from jobistemer.cli.top.rates import Rates, rates
from jobistemer.cli.top.screen import screen
from jobistemer.cli.top.snapshot import Counting, Look, counting, look
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import end_at_once
from jobistemer.store.server.connection import redacted
from jobistemer.terminal.keyboard import RESIZED, Keyboard, keyboard

EVERY_S, GLIMPSE_S = 1.0, 0.05
SLOW_S = 1.0
"""A look that takes longer is told while it goes on."""


class Top:
    """What has been seen last, and what it is compared with."""

    def __init__(self, place: str, shards: list[Counting]) -> None:
        self.place = place
        self._shards = shards
        self.seen = look(shards)
        self.rates = Rates()
        self.trouble = ""

    def look(self) -> None:
        """Look again. Raises NotConnected or ServerRefused; then what was seen stays."""
        now = look(self._shards)
        self.rates, self.seen, self.trouble = rates(self.seen, now, self.rates), now, ""

    def look_or_tell(self) -> None:
        """Look again; when that does not work, say why."""
        try:
            self.look()
        except (NotConnected, ServerRefused) as error:
            self.trouble = str(error)

    def answer(self) -> dict[str, object]:
        """The same for scripts."""
        return {"seen": self.seen, "rates": self.rates}


class Watch:
    """A terminal, with somebody before it."""

    def __init__(self, top: Top, keys: Keyboard, live: Live) -> None:
        self._top = top
        self._keys = keys
        self._live = live
        self._paused = False

    def go_on(self) -> None:
        """Look each second, until the end is asked for."""
        self._show()
        while not self._ended_within(EVERY_S):
            if not self._paused:
                if self._ended_while(start_thread(self._top.look_or_tell, "look")):
                    return
                self._show()

    def _ended_while(self, looking: Thread) -> bool:
        """Keys are heard also while a server does not answer, which takes until the client gives up."""
        began = time.monotonic()
        looking.join(GLIMPSE_S)
        while looking.is_alive():
            waited = time.monotonic() - began
            if waited > SLOW_S:
                self._top.trouble = f"the server has not answered for {waited:.0f} s"
                self._show()
            if self._ended_within(GLIMPSE_S):
                return True
        return False

    def _ended_within(self, seconds: float) -> bool:
        for key in self._keys.hear(seconds):
            if key in ("q", "Q"):
                return True
            if key in ("p", "P"):
                self._paused = not self._paused
            if key in ("p", "P", RESIZED):
                self._show()
        return False

    def _show(self) -> None:
        top, height = self._top, self._live.console.height
        place = f"{'PAUSED · ' if self._paused else ''}{top.place}"
        foot = f" q ends it · p {'goes on' if self._paused else 'pauses'} · {top.trouble or _cost(top.seen)}"
        self._live.update(screen(top.seen, top.rates, place, foot, height), refresh=True)


@click.command("top")
@click.option("--once", is_flag=True, help="Print one page about one second, as it does without a terminal.")
@operating
def top_command(session: Session, *, once: bool) -> None:
    """Watch queues, workers, tickers, what runs and what failed; q ends it, p pauses it.

    It looks each second. A look costs the same whatever is on record; the last line says how much. `in/s` and `out/s`
    need Redis 7 or newer, since older servers do not count what is taken from a stream.
    """
    namespace = session.namespace
    top = Top(f"jobistemer top · {redacted(namespace.url)} · {namespace.name}", counting(namespace))
    if once or session.as_json or not sys.stdout.isatty():
        time.sleep(EVERY_S)
        top.look()
        session.answer(top.answer(), lambda: screen(top.seen, top.rates, top.place, f" {_cost(top.seen)}"))
        return
    signal.signal(signal.SIGTERM, end_at_once)
    console = Console(highlight=False, markup=False)
    with keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        Watch(top, keys, live).go_on()


def _cost(seen: Look) -> str:
    return f"{seen.cost.commands} commands in {seen.cost.ms:g} ms a look"
