"""The live screen of `jobistemer top`: keys, and calls to the server that no key waits for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Final, NamedTuple

from rich.live import Live

from jobistemer.cli.top.actions import ACTION_KEYS, TopAction
from jobistemer.cli.top.monitor import Look, Monitor
from jobistemer.cli.top.parts import NAMES, Target, build_parts
from jobistemer.cli.top.screen import format_cost, render_details, render_screen
from jobistemer.cli.top.view import ALL, ENTER
from jobistemer.core.errors import JobistemerError, NotConnected
from jobistemer.runtime.repeat import call_apart
from jobistemer.terminal.keyboard import ESCAPE, RESIZED, Keyboard

_NUMBERED = " ".join(f"{number} {name}" for number, name in enumerate(NAMES, 1))
HELP = (
    f"{_NUMBERED} 0 all · Tab next · ↑↓ or j k select · / filter · s sort · Enter details · "
    f"{ACTION_KEYS} · p pause the screen · q end"
)
DETAIL_HELP = f"Esc or Enter goes back · {ACTION_KEYS} · q ends it"
REFRESH_S, KEY_POLL_S = 1.0, 0.05
LEAVING_KEYS = (*ENTER, ESCAPE, *(str(number) for number in range(10)), "\t")
"""The keys that lead from the details back to the tables."""
SLOW_AFTER_S: Final = 1.0
"""A call that takes longer than so many seconds is reported while it is under way, and `q` waits no longer for it."""

FindAction = Callable[[str, Target], TopAction | None]


class _Call(NamedTuple):
    """A call under way: a read, after a change if one was confirmed. since: seconds of the monotonic clock."""

    answer: Future[Look]
    since: float
    change: TopAction | None


class LiveView:
    """The screen on a terminal, redrawn every second and after each key.

    One call to the server at a time is made on a thread of its own. This thread handles the keys and takes the answers:
    it alone changes what is shown.
    """

    def __init__(self, top: Monitor, keys: Keyboard, live: Live, find: FindAction) -> None:
        self._top = top
        self._find = find
        self._keys = keys
        self._live = live
        self._view = ALL
        self._target: Target | None = None
        self._paused = False
        self._helps = False
        self._asked: TopAction | None = None
        self._said = ""
        self._call: _Call | None = None
        self._changes: list[TopAction] = []
        self._read_at = time.monotonic() + REFRESH_S

    def run(self) -> None:
        """Read and draw until `q` is pressed. Raises NotConnected when a change that was confirmed has no answer."""
        self.draw()
        while not self._handle_keys():
            self.advance()
        self.finish()

    def advance(self) -> None:
        """Take the answer of the call under way, or begin the next call; wait for nothing."""
        if self._call is None:
            self._begin()
        elif self._call.answer.done():
            self._take(self._call.answer.result())
            self.draw()
        elif self._slow_s() > SLOW_AFTER_S:
            self.draw()

    def finish(self) -> None:
        """Make the changes that were confirmed. Raises NotConnected when the server does not answer soon."""
        until = time.monotonic() + SLOW_AFTER_S
        while unmade := [*([self._call.change] if self._call and self._call.change else []), *self._changes]:
            self.advance()
            if self._call and wait([self._call.answer], until - time.monotonic()).not_done:
                questions = ", ".join(each.question for each in unmade)
                raise NotConnected(f"{questions}: the server has not answered, so look whether it was done")

    def _begin(self) -> None:
        change = self._changes.pop(0) if self._changes else None
        if change or time.monotonic() >= self._read_at:
            step = partial(_ask_server, self._top, self._target, change)
            self._call = _Call(call_apart(step, "top"), time.monotonic(), change)

    def _take(self, answer: Look) -> None:
        self._call, self._read_at = None, math.inf if self._paused else time.monotonic() + REFRESH_S
        self._said = answer.said or self._said
        self._top.show_details(answer)
        if not self._paused:
            self._top.show_tables(answer)
        if self._target not in (None, answer.target):
            self._read_at = 0.0

    def _slow_s(self) -> float:
        return time.monotonic() - self._call.since if self._call else 0.0

    def _handle_keys(self) -> bool:
        for key in self._keys.read_keys(KEY_POLL_S):
            if key == "q" and not self._view.types:
                return True
            self.press(key)
            self.draw()
        return False

    def press(self, key: str) -> None:
        """Do what a key asks for, except for `q`."""
        if self._asked is not None:
            self._answer(self._asked, key)
        elif self._target is not None and key in LEAVING_KEYS:
            self._target = None
        elif self._view.types:
            self._view = self._view.press(key)
        elif key == "p":
            self._paused = not self._paused
            self._read_at = math.inf if self._paused else 0.0
        elif key == "?":
            self._helps = not self._helps
        elif key in ENTER and (target := self._find_target()):
            self._target, self._read_at = target, 0.0
        elif key.isupper() and key.isascii() and (target := self._find_target()):
            self._asked, self._said = self._find(key, target), ""
        else:
            self._view = self._view.press(key)

    def _answer(self, asked: TopAction, key: str) -> None:
        if key == RESIZED:
            return
        self._asked, self._said = None, "nothing was done"
        if key in ("y", "Y"):
            self._said = f"{asked.question} …"
            self._changes.append(asked)

    def _find_target(self) -> Target | None:
        """Return what the keys are about, as the latest tables show it: what was paused meanwhile can be resumed."""
        parts, shown = build_parts(self._top.snapshot, self._top.rates), self._target
        if shown is None:
            return self._view.find_target(parts)
        rows = (row.target for part in parts for row in part.rows)
        return next((each for each in rows if (each.kind, each.id) == (shown.kind, shown.id)), shown)

    def draw(self) -> None:
        """Draw the details of the target, or the tables."""
        top, height = self._top, self._live.console.height
        title, foot = f"{'PAUSED · ' if self._paused else ''}{top.title}", f" {self._foot()}"
        if self._target is not None:
            self._live.update(render_details(top.details_of(self._target), title, foot, height), refresh=True)
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
            if self._target
            else f"q ends it · p {'continues' if self._paused else 'pauses'} · ? keys"
        )
        wanted = f"/{self._view.filter}" if self._view.filter else ""
        slow_s = self._slow_s()
        slow = f"the server has not answered for {slow_s:.0f} s" if slow_s > SLOW_AFTER_S else ""
        trouble, cost = slow or self._top.error, format_cost(self._top.snapshot)
        # The end is cut off in a narrow terminal.
        return " · ".join(filter(None, (self._said, trouble, wanted, keys, "" if trouble else cost)))


def _ask_server(top: Monitor, target: Target | None, change: TopAction | None) -> Look:
    """Make a change and read; the tables show what it has changed together with its message."""
    said = ""
    try:
        said = change.perform() if change else ""
    except JobistemerError as error:
        said = str(error)
    try:
        return top.look(target)._replace(said=said)
    except JobistemerError as error:
        return Look(target, error=str(error), said=said)
