"""The live screen of `jobistemer top`: what keys do while the server is asked, and which answers are shown."""

import io
from concurrent.futures import wait
from threading import Event

import pytest
from rich.console import Console
from rich.live import Live

from jobistemer.cli.top import live_view
from jobistemer.cli.top.actions import TopAction, find_action
from jobistemer.cli.top.live_view import LiveView
from jobistemer.cli.top.monitor import Monitor
from jobistemer.core.errors import NotConnected

WIDTH, HEIGHT = 160, 40


class SlowMonitor(Monitor):
    """A monitor whose server answers as soon as `answers` is set."""

    def __init__(self, namespace):
        super().__init__("top", namespace)
        self.answers = Event()
        self.answers.set()

    def look(self, target):
        self.answers.wait()
        return super().look(target)


class Screen:
    """The live screen, step by step, and what it shows."""

    def __init__(self, app, find=None):
        self.top = SlowMonitor(app.namespace)
        self._console = Console(width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._keys = []
        find = find or (lambda key, target: find_action(app.namespace, "ana", key, target))
        self.view = LiveView(self.top, self, self._live, find)

    def read_keys(self, _seconds):
        yield from self._keys

    def press(self, *keys):
        for key in keys:
            self.view.press(key)

    def run(self, *keys):
        self._keys = keys
        self.view.run()

    def call(self):
        """Make the call that is due, if any, and take its answer."""
        self.view.advance()
        self.answer()

    def answer(self):
        if self.view._call:
            wait([self.view._call.answer])
            self.view.advance()

    def shown(self):
        self.view.draw()
        with self._console.capture() as captured:
            self._console.print(self._live.get_renderable())
        return captured.get()


@pytest.fixture
def screen(app):
    app.deploy()
    return Screen(app)


@pytest.fixture
def no_patience(monkeypatch):
    """A server is slow at once, and nothing waits for it."""
    monkeypatch.setattr(live_view, "SLOW_AFTER_S", 0.0)


@pytest.fixture(autouse=True)
def no_reads_without_a_key(monkeypatch):
    monkeypatch.setattr(live_view, "REFRESH_S", 3_600.0)


def test_enter_reads_the_selected_row_and_the_keys_go_on_meanwhile(screen, no_patience):
    screen.top.answers.clear()
    screen.press("1", "\r")
    screen.view.advance()
    assert "it is being read" in screen.shown()
    assert "the server has not answered for 0 s" in screen.shown()
    screen.press("\x1b")
    assert "next due" in screen.shown()
    screen.press("\r")
    screen.top.answers.set()
    screen.answer()
    assert "job nightly, version 1" in screen.shown()


def test_q_ends_it_at_once_while_the_server_is_silent(screen):
    screen.top.answers.clear()
    screen.press("1", "\r")
    screen.view.advance()
    screen.run("q")
    screen.top.answers.set()


def test_details_of_one_row_are_never_shown_for_another(screen):
    screen.top.answers.clear()
    screen.press("1", "\r")
    screen.view.advance()
    screen.press("\x1b", "j", "\r")
    screen.top.answers.set()
    screen.answer()
    assert "job yearly" in screen.shown()
    assert "version 1" not in screen.shown()
    screen.call()
    assert "job yearly, version 1" in screen.shown()


def test_a_paused_screen_keeps_its_tables_whatever_is_read_or_changed(screen, app):
    screen.press("p", "1", "\r")
    app.control.pause("nightly")
    screen.call()
    assert "job nightly, version 1" in screen.shown()
    screen.press("\x1b", "P", "y")
    screen.call()
    assert "nightly is paused" in screen.shown()
    assert screen.top.snapshot.upcoming[0].is_paused(screen.top.snapshot.at_ms) is False
    screen.press("p")
    screen.call()
    assert [each.name for each in screen.top.snapshot.upcoming if each.is_paused(screen.top.snapshot.at_ms)] == [
        "nightly"
    ]


def test_a_read_under_way_when_the_screen_is_paused_does_not_replace_the_tables(screen):
    before = screen.top.snapshot
    screen.top.answers.clear()
    screen.press("p", "p")
    screen.view.advance()
    screen.press("p")
    screen.top.answers.set()
    screen.answer()
    assert screen.top.snapshot is before


def test_what_is_paused_in_its_details_is_resumed_there(screen, app):
    screen.press("1", "\r")
    screen.call()
    for question in ("pause", "resume"):
        screen.press("P")
        assert f"{question} job nightly? y / n" in screen.shown()
        screen.press("y")
        screen.call()
    assert not app.control.is_paused("nightly")


def test_a_change_that_was_confirmed_is_made_before_it_ends(screen, app):
    screen.run("1", "P", "y", "q")
    assert app.control.is_paused("nightly")


@pytest.mark.parametrize("is_begun", [True, False])
def test_a_confirmed_change_without_an_answer_is_named_when_it_ends(app, is_begun, no_patience):
    app.deploy()
    answers = Event()
    screen = Screen(app, lambda _key, target: TopAction(f"pause {target.id}", answers.wait, "done"))
    screen.press("1")
    if not is_begun:
        screen.top.answers.clear()
        screen.press("\r")
        screen.view.advance()
    screen.press("P", "y")
    with pytest.raises(NotConnected, match="pause nightly: the server has not answered, so look whether it was done"):
        screen.run("q")
    answers.set()
    screen.top.answers.set()


def test_a_change_that_is_refused_and_a_read_that_fails_are_reported(screen, app, monkeypatch):
    app.control.remove("nightly")
    screen.press("1", "P", "y")
    screen.call()
    assert "no job 'nightly'" in screen.shown()
    monkeypatch.setattr(screen.top, "look", lambda _target: _raise(NotConnected("it is away")))
    screen.press("j", "\r")
    screen.call()
    assert "it is away" in screen.shown()
    screen.press("\x1b")
    assert "it is away" in screen.shown()


def _raise(error):
    raise error
