"""Fixtures of the behaviour ring: an app on the frozen clock of the `database` fixture."""

from __future__ import annotations

import pytest

from jobistemer.app import Jobistemer
from tests.support.clocks import FrozenClock
from tests.support.step_system import open_app


@pytest.fixture
def app(server_url: str, clock: FrozenClock, database: object) -> Jobistemer:
    """An app that shares the empty shard and the clock of the test."""
    return open_app(server_url, clock)
