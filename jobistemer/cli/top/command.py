"""`jobistemer top`: watch what goes on."""

from __future__ import annotations

import signal
import sys
import time

import click
from rich.console import Console
from rich.live import Live

from jobistemer.cli.session import Session, operating
from jobistemer.cli.top.keyboard import RESIZED, Keyboard, keyboard
from jobistemer.cli.top.look import Counting, Look, counting, look
from jobistemer.cli.top.rates import Rates, rates
from jobistemer.cli.top.screen import screen
from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.runtime.stopping import end_at_once
from jobistemer.store.connection import redacted

EVERY_S = 1.0


class Top:
    """What has been seen last, and what it is compared with."""

    def __init__(self, place: str, shards: list[Counting]) -> None:
        self.place = place
        self._shards = shards
        self.seen = look(shards)
        self.rates = Rates()
        self.trouble = ""

    def look(self) -> None:
        """Look again. When the server cannot be reached, what was seen stays, and why is told."""
        try:
            now = look(self._shards)
        except (NotConnected, ServerRefused) as error:
            self.trouble = str(error)
            return
        self.rates, self.seen, self.trouble = rates(self.seen, now, self.rates), now, ""

    def answer(self) -> dict[str, object]:
        """The same for scripts."""
        return {"seen": self.seen, "rates": self.rates}


@click.command("top")
@click.option(
    "--once", is_flag=True, help="Print what goes on within one second, and end; so it is without a terminal."
)
@operating
def top_command(session: Session, *, once: bool) -> None:
    """Watch queues, workers, tickers, what runs and what failed; q ends it, p pauses it.

    It looks each second. A look costs the same whatever is on record; the last line says how much. `in/s` and `out/s`
    need Redis 7 or newer, since older servers do not count what is taken from a stream.
    """
    top = Top(f"jobistemer top · {redacted(session.namespace.url)} · {session.namespace.name}",
              counting(session.namespace))  # fmt: skip
    if once or session.as_json or not sys.stdout.isatty():
        time.sleep(EVERY_S)
        top.look()
        session.answer(top.answer(), lambda: screen(top.seen, top.rates, top.place, _cost(top.seen)))
        return
    signal.signal(signal.SIGTERM, end_at_once)
    console = Console(highlight=False, markup=False)
    with keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        _watch(top, keys, live)


def _watch(top: Top, keys: Keyboard, live: Live) -> None:
    paused = False
    while True:
        _show(top, live, paused=paused)
        for key in keys.hear(EVERY_S):
            if key in ("q", "Q"):
                return
            paused ^= key in ("p", "P")
            if key in ("p", "P", RESIZED):
                _show(top, live, paused=paused)
        if not paused:
            top.look()


def _show(top: Top, live: Live, *, paused: bool) -> None:
    # What fills the last line to its end would move everything up.
    height = live.console.height
    foot = top.trouble or f" q ends it · p {'goes on' if paused else 'pauses'} · {_cost(top.seen)}"
    live.update(screen(top.seen, top.rates, f"{'PAUSED · ' if paused else ''}{top.place}", foot, height), refresh=True)


def _cost(seen: Look) -> str:
    return f"{seen.cost.commands} commands in {seen.cost.ms:g} ms a look"
