"""The pytest plugin of Jobistemer: the fixture `jobs`, an app under test. See docs/how-to/test-an-application.md.

It is a module beside the package and imports nothing of it before a test uses the fixture: pytest loads every plugin
that is installed, and a suite that has nothing to do with jobs should not wait for the import of a Redis client.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobistemer import Jobistemer
    from jobistemer.testing import Jobs

REQUIRED_MODULES = ("fakeredis", "lupa", "time_machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini options `jobistemer_app` and `jobistemer_now`."""
    parser.addini("jobistemer_app", "the app that the fixture `jobs` tests, as MODULE:APP")
    parser.addini("jobistemer_now", "the instant at which tests with the fixture `jobs` begin, by default the present")


@pytest.fixture
def jobistemer_app(pytestconfig: pytest.Config) -> Jobistemer:
    """The app under test. Override this fixture to return an app that a factory builds."""
    from jobistemer.core.errors import Misconfigured  # noqa: PLC0415 - see the module
    from jobistemer.testing.plugin_app import find_app  # noqa: PLC0415 - see the module

    try:
        return find_app(str(pytestconfig.getini("jobistemer_app")))
    except Misconfigured as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def jobs(request: pytest.FixtureRequest) -> Iterator[Jobs]:
    """The app on an in-memory server of this test's own, with a clock that stands still until it is advanced."""
    missing = [name for name in REQUIRED_MODULES if find_spec(name) is None]
    if missing:
        pytest.fail(f"the fixture `jobs` needs {', '.join(missing)}: pip install 'jobistemer[testing]'", pytrace=False)
    from jobistemer.testing import under_test  # noqa: PLC0415 - see the module

    app = request.getfixturevalue("jobistemer_app")
    with under_test(app, at=request.config.getini("jobistemer_now") or None) as jobs:
        yield jobs
