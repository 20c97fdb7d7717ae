"""Garbage under a ticker and a worker that run as processes: neither floods its log nor spins, and good work is done."""

import os
from pathlib import Path

import pytest

from jobistemer import Cron, Jobistemer
from jobistemer.core.jobs.job import Job, Task
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import TickerProcess, running_worker, wait_until

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

MOST_LINES = 10
INSTANTS = 5
"""How many due instants of a job of every second are waited for while the processor time is counted."""


def processor_s(pid: int) -> float:
    """The processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spoil_everything(client, keys):
    client.zadd(keys.delayed, {"nonsense": 1})
    for key in (keys.due, keys.delayed, keys.deadlines, keys.chores, keys.expected):
        client.zadd(key, {b"\xff\xfe": float("-inf"), b"\x00": 1})
    client.sadd(keys.starts, b"\xff")
    client.xadd(keys.stream("default:5"), {"x": b"\xff"})
    client.delete(keys.stream("default:3"), keys.holds)
    client.set(keys.stream("default:3"), "x")
    client.set(keys.holds, "x")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc, which Linux has")
def test_no_role_floods_its_log_or_spins_over_garbage_and_good_work_is_done(tmp_path):
    with (
        running(VALKEY, tmp_path) as url,
        running_worker(url, tmp_path / "worker", "tests.integration.worker.hostile:app", "-c", "2") as worker,
        running_worker(url, tmp_path / "ticker", kind=TickerProcess) as ticker,
    ):
        app = Jobistemer(url)
        app.control.register(Job("tick", Cron("* * * * * *"), (Task("only", handler="where"),)))
        database = app.namespace.shards[0]
        history = database.keys.history(app.control.find("tick").job.id)
        wait_until(lambda: database.client.zcard(history) >= 2, "both work", 60)

        # When there is garbage of several kinds in a dozen keys, and some seconds go by
        lines = [len(each.said().splitlines()) for each in (worker, ticker)]
        spoil_everything(database.client, database.keys)
        app.enqueue("where").result(timeout=60)
        before, used = database.client.zcard(history), [processor_s(each.pid) for each in (worker, ticker)]
        wait_until(lambda: database.client.zcard(history) >= before + INSTANTS, "the job goes on every second", 60)

        # Then each second had its instant, and neither process has spun or flooded its log
        spent = [processor_s(each.pid) - start for each, start in zip((worker, ticker), used, strict=True)]
        said = [len(each.said().splitlines()) - start for each, start in zip((worker, ticker), lines, strict=True)]
        assert max(spent) < 0.05 * INSTANTS + 0.1, spent
        assert max(said) <= MOST_LINES, worker.said() + ticker.said()
        assert app.enqueue("where").result(timeout=60)
