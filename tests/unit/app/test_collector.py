from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import jobistemer.cli
import jobistemer_start
from jobistemer.app.loading import load_app, paused_collection


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Leave the collector on, as it is in a process of a user."""
    was_enabled = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_enabled else gc.disable)()


def is_collected(searched: object) -> bool:
    return any(each is searched for each in gc.get_objects())


def test_the_collector_leaves_alone_what_an_app_has_declared():
    before: list[object] = []
    with paused_collection():
        assert not gc.isenabled()
        declared: list[object] = []
        assert is_collected(declared)
    after: list[object] = []

    assert gc.isenabled()
    assert not is_collected(declared)
    assert not is_collected(before)
    assert is_collected(after)


def test_an_app_that_is_loaded_already_is_loaded_again_without_keeping_what_is_garbage():
    load_app("workers.quickstart:app", None, None)
    of_a_test: list[object] = []
    load_app("workers.quickstart:app", None, None)
    assert is_collected(of_a_test)


def test_a_collector_that_was_off_stays_off_and_keeps_what_it_has():
    gc.disable()
    with paused_collection():
        declared: list[object] = []

    assert not gc.isenabled()
    assert is_collected(declared)


def test_a_command_runs_with_the_collector_on_and_ends_without_a_last_collection(monkeypatch: pytest.MonkeyPatch):
    at_exit: list[object] = []
    states: list[bool] = []
    imported: list[object] = []
    monkeypatch.setattr(jobistemer_start.atexit, "register", at_exit.append)
    monkeypatch.setattr(
        jobistemer.cli, "main", lambda prog_name: states.extend([gc.isenabled(), is_collected(imported)])
    )
    monkeypatch.setattr("sys.argv", ["jobistemer", "deploy"])

    jobistemer_start.start_command()

    assert at_exit == [gc.freeze]
    assert states == [True, False]
