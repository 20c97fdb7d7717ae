"""The outbox under random kills of producer, relay, database and server: one run for each committed row, none besides.

JOBISTEMER_TEST_OUTBOX=1000 makes it as many transactions.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import defaultdict
from functools import partial

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.chaos.system import ChaosSystem, at_rest, running_system, wait_until
from tests.support.postgres import find_binaries, running_postgres

TRANSACTIONS = int(os.environ.get("JOBISTEMER_TEST_OUTBOX", "100"))
SET_UP = "from tests.chaos.outbox_app import engine, metadata; metadata.create_all(engine)"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.timeout(120 + TRANSACTIONS),
    pytest.mark.skipif(find_binaries() is None, reason="PostgreSQL is not installed; .ci/run installs it"),
]


def committed(engine: Engine) -> dict[int, str]:
    """The run of each order that is committed."""
    with engine.connect() as connection:
        return dict(connection.execute(text("SELECT number, run_id FROM orders")).all())


def noted(system: ChaosSystem) -> dict[int, set[str]]:
    """The runs that have noted each order, by the ledger."""
    found = defaultdict(set)
    if system.ledger.exists():
        for line in system.ledger.read_text().splitlines():
            number, run = line.split()
            found[int(number)].add(run)
    return found


def waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM jobistemer_outbox"))


def has_moved(system: ChaosSystem, before: int, producer: subprocess.Popen[bytes]) -> bool:
    return len(noted(system)) > before or producer.poll() is not None


def test_each_committed_order_has_one_run_and_no_other_has_any(tmp_path):
    chance = random.Random(7)
    with running_postgres(find_binaries()) as postgres, running_system(tmp_path, OUTBOX_URL=postgres.url) as system:
        # Given orders that are committed one after another, a relay, and somebody who kills all four again and again
        engine = create_engine(postgres.url, pool_pre_ping=True)
        system.app = "tests.chaos.outbox_app:app"
        subprocess.run([sys.executable, "-c", SET_UP], env=system.environment, check=True)
        system.deploy()
        ticker, worker = system.ticker(), system.worker()
        start = partial(system.start_module, "tests.chaos.outbox_producer", str(TRANSACTIONS))
        producer, kills = start(), 0
        while producer.poll() is None:
            before = len(noted(system))
            wait_until("orders are noted, or no more are made", partial(has_moved, system, before, producer))
            victim = chance.choice(["producer", "worker", "postgres", "server"])
            kills += 1
            if victim == "producer":
                producer.kill()
                producer.wait()
                producer = start()
            elif victim == "worker":
                worker.kill()
                worker.wait()
                worker = system.worker()
            elif victim == "postgres":
                postgres.kill()
                postgres.start()
            else:
                system.server.kill()
                system.server.start()

        # When they are left alone
        def is_over() -> bool:
            try:
                return waiting(engine) == 0 and set(noted(system)) >= set(committed(engine))
            except DBAPIError:
                return False

        wait_until("all orders are noted", is_over, 90)
        wait_until("nothing waits", lambda: at_rest(system.database()), 60)

        # Then each committed order has the run that its row names, and an order that was rolled back has none
        assert producer.returncode == 0
        assert kills > 0
        orders = committed(engine)
        assert len(orders) == TRANSACTIONS - TRANSACTIONS // 5
        assert {number: {run} for number, run in orders.items()} == noted(system)
        assert ticker.poll() is None
        engine.dispose()
