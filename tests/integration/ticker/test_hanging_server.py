"""A ticker that is asked to stop while its server hangs: it neither waits for an answer nor loses an instant."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from jobistemer import Jobistemer
from jobistemer.ticker import ticker
from tests.support.processes import Process
from tests.support.servers import VALKEY, running
from tests.support.step_system import build_ticker

ENTRY = ("-c", "from jobistemer.cli.commands.ticker import ticker_command; ticker_command()")
LONGEST_S = 5
"""What the guarantees promise."""


@contextmanager
def stopped(url: str) -> Iterator[None]:
    """A server that hangs: its connections stay, and it answers nothing."""
    with redis.Redis.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_ticker_ends_while_its_server_hangs_says_so_and_what_was_due_meanwhile_is_fired_after_it(tmp_path):
    with running(VALKEY, tmp_path) as url:
        # Given a ticker that has jobs due every second
        app = Jobistemer(url, namespace="test", shards=1)
        app.job("* * * * * *", name="often", overlap="allow")(lambda: None)
        app.deploy()
        shard = app.namespace.shards[0]
        settings = {"JOBISTEMER_URL": url, "JOBISTEMER_NAMESPACE": "test"}
        with Process(folder=tmp_path, environment=settings, command=ENTRY) as process:
            process.says("started")
            with redis.Redis.from_url(url) as client:
                client.xread({shard.keys.stream("default:5"): "0"}, block=20_000)

            # When it is asked to stop while the server answers nothing, then it ends before the server goes on
            with stopped(url):
                process.send(signal.SIGTERM)
                assert process.ends() == 0
            assert "could not leave in order: the server does not answer" in process.text
            assert ticker.LEAVE_S + ticker.JOIN_S < LONGEST_S

        # And the instants of the time of the hang are decided by the next one: each has its occurrence
        while build_ticker(shard, name="next").tick():
            pass
        instants = sorted(
            int(at) for _, at in shard.client.zrange(shard.keys.history(app.jobs()[0].id), 0, -1, withscores=True)
        )
        assert instants == list(range(instants[0], instants[-1] + 1))
