"""The embedded server under libfaketime: its clock leaps and steps back while a real ticker runs."""

from contextlib import ExitStack, contextmanager

import pytest

from jobistemer import Jobistemer
from jobistemer.store.reads.records import find_occurrences
from tests.chaos.system import wait_until
from tests.support.faketime import ServerClock
from tests.support.processes import Process
from tests.support.servers import VALKEY, running

pytestmark = pytest.mark.process


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
    hands = ServerClock(tmp_path)
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
            wait_until(f"{count} more occurrences", lambda: database.client.zcard(history) >= wanted)

        with Process("--url", url, folder=tmp_path, command=("-m", "jobistemer.cli.commands.ticker")) as ticker:
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
