"""The embedded server under libfaketime: its clock leaps and steps back while a real ticker runs."""


import os
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from jobistemer import Jobistemer
from jobistemer.store.views import find_occurrences
from tests.chaos.scene import until
from tests.support.processes import Process
from tests.support.servers import VALKEY, running

pytestmark = pytest.mark.process


def library() -> str:
    """Where Debian's libfaketime lies; .ci/run installs it, so that it is missing only where nobody can."""
    found = [str(each) for each in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    if not found and os.environ.get("CI"):
        raise AssertionError("libfaketime is not installed: apt-get install faketime")
    if not found:
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    return found[0]


class Hands:
    """Sets the clock of a server that runs under libfaketime."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self.environment = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.turn(0)

    def turn(self, seconds):
        # In one step: a server that looked at an empty file would go by the true time.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}")
        fresh.replace(self._file)


@contextmanager
def server_with(hands, folder):
    """A server that goes by the hands; nobody else does."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as preloaded:
            for name, value in hands.environment.items():
                preloaded.setenv(name, value)
            url = stack.enter_context(running(VALKEY, folder))
        yield url


def test_a_leap_is_held_and_a_step_back_fires_nothing_twice(tmp_path):
    hands = Hands(tmp_path)
    with server_with(hands, tmp_path) as url:
        app = Jobistemer(url)

        @app.job("* * * * * *", overlap="allow", grace_s=5)
        def pulse() -> None: ...

        app.deploy()
        database = app.namespace.shards[0]
        history = database.keys.history(app.declarations["pulse"].build().id)
        began = database.read_clock()

        def rows():
            found = [each.decode() for each in database.client.zrange(history, 0, -1)]
            return find_occurrences(database, found)

        def fired(count):
            """Wait until so many more have been decided."""
            wanted = database.client.zcard(history) + count
            until(f"{count} more occurrences", lambda: database.client.zcard(history) >= wanted)

        with Process("--url", url, folder=tmp_path, command=("-m", "jobistemer.cli.ticker")) as ticker:
            ticker.says("started")
            fired(2)
            hands.turn(3600)
            ticker.says("clock has leapt ahead by 3[56]")
            fired(3)
            hands.turn(0)
            ticker.says("believed again")
            fired(2)
            hands.turn(-20)
            assert database.read_clock() < began + 3_600_000

        found = rows()
        assert [each.due for each in found] == list(range(found[0].due, found[-1].due + 1))
        assert all(each.late_ms >= 0 for each in found)
        assert {str(each.state) for each in found} == {"pending"}
        assert found[-1].due * 1000 < began + 600_000
