"""An app for each test, as a user has it, with a server that cannot be reached."""

from __future__ import annotations

import pytest

from jobistemer import Jobistemer

UNREACHABLE = "redis://127.0.0.1:1/0"


@pytest.fixture
def app() -> Jobistemer:
    return Jobistemer(UNREACHABLE)


@pytest.fixture
def jobistemer_app(app) -> Jobistemer:
    return app
