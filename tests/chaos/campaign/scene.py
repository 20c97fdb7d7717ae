"""The scene of a story: a server, tickers, workers and producers at work, and the means to do them harm."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import redis

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace
from tests.chaos.campaign.ledger import Ledger
from tests.chaos.campaign.proxy import CuttingProxy
from tests.chaos.system import ChaosSystem, Server, at_rest, wait_until
from tests.support.faketime import ServerClock

LEASE_S = 3.0
PATIENCE_S = 90.0
"""How long a scene may take to recover, or to come to rest."""
PRODUCER_PAUSE_S = "0.01"


T = TypeVar("T")


def count_delayed(database: Database) -> int:
    """How many runs wait for a retry or for their time."""
    return int(database.client.zcard(database.keys.delayed))


def hears_sigterm(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has come so far that SIGTERM ends it in order; while it imports its modules it has not."""
    caught = re.search(r"^SigCgt:\t(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) & (1 << (signal.SIGTERM - 1)))


class ClockedServer(Server):
    """A server whose clock the story turns."""

    def __init__(self, folder: Path, binary: str = "") -> None:
        super().__init__(folder, binary)
        self.clock = ServerClock(folder)
        self.environment = self.clock.environment


class Scene:
    """Two tickers, three workers and two producers, and the proxy that they may have to go through."""

    def __init__(self, system: ChaosSystem, seed: int, proxy: CuttingProxy | None) -> None:
        self.system = system
        self.server: Server = system.server
        self.proxy = proxy
        self.chance = random.Random(seed)
        self.ledger = Ledger(system.ledger)
        self.since, self.until = 0.0, 0
        """From when on calls count, by the monotonic clock; later than the beginning where a server was emptied; and up to which instant
        tickers were there, in Unix seconds of the server."""
        if proxy is not None:
            system.environment["JOBISTEMER_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
        self.tickers: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.producers: list[subprocess.Popen[bytes]] = []
        self.garbage: Any = None
        """What a story puts into the keys, and who looks at it; None for the others. Its `judge` says what was wrong."""

    def open(self) -> None:
        """Deploy and start everybody; returns when work is under way."""
        self.system.deploy()
        self.tickers = [self.system.ticker() for _ in range(2)]
        self.workers = [self.system.worker() for _ in range(3)]
        self.producers = [self.start_producer() for _ in range(2)]
        wait_until("work is under way", lambda: min(self.ledger.count()) > 50, PATIENCE_S)

    def start_producer(self) -> subprocess.Popen[bytes]:
        arguments = (str(self.chance.randrange(1 << 30)), PRODUCER_PAUSE_S)
        return self.system.start_module("tests.chaos.campaign.producer", *arguments)

    def choose(self, processes: list[subprocess.Popen[bytes]]) -> int:
        return self.chance.randrange(len(processes))

    def choose_busy(self, processes: list[subprocess.Popen[bytes]]) -> int:
        """Choose one in which a handler is being called at this moment."""
        busy: list[int] = []

        def find() -> bool:
            running = self.ledger.find_running()
            busy[:] = [at for at, process in enumerate(processes) if process.pid in running]
            return bool(busy)

        wait_until("a handler is being called", find, PATIENCE_S)
        return self.chance.choice(busy)

    @property
    def client(self) -> redis.Redis:
        """A connection of the story's own to the server, past the proxy."""
        return redis.Redis(port=self.server.port, socket_timeout=5)

    def database(self) -> Database:
        return Namespace(self.server.url).shards[0]

    def wait_until_recovered(self) -> float:
        """Wait until every call that was acknowledged by now has had its effect; how many seconds that took."""
        began, still_open = time.monotonic(), self.ledger.find_open()

        def is_done() -> bool:
            still_open.difference_update(self.ledger.find_effects(began))
            return not still_open

        # What a worker may not end in order, such as a call that was lost, is the verdict's to say.
        try:
            wait_until("what was open has had its effect", is_done, PATIENCE_S)
        except AssertionError:
            return PATIENCE_S
        return time.monotonic() - began

    def close(self) -> list[str]:
        """End the producers and the tickers, let the rest be done, and end the workers; what was wrong with that."""
        wrong = self._end("producer", self.producers)
        try:
            # Retries and delayed calls need a ticker, and what is due each second never ends while there is one.
            wait_until("no call is open or delayed any more", self._is_quiet, PATIENCE_S)
            self.until = self.database().read_clock() // 1000
            wrong += self._end("ticker", self.tickers)
            wait_until("nothing waits or runs any more", lambda: bool(self._ask(at_rest)), PATIENCE_S)
        except AssertionError as error:
            wrong.append(str(error))
        return wrong + self._end("worker", self.workers) + self.system.logged_faults()[:5]

    def _is_quiet(self) -> bool:
        return not self.ledger.find_open() and self._ask(count_delayed) == 0

    def _ask(self, question: Callable[[Database], T]) -> T | None:
        with suppress(NotConnected, ServerRefused):
            return question(self.database())
        return None

    def _end(self, what: str, processes: list[subprocess.Popen[bytes]]) -> list[str]:
        for process in processes:
            wait_until("it hears signals", partial(hears_sigterm, process), PATIENCE_S)
            process.terminate()
        codes = [process.wait(timeout=PATIENCE_S) for process in processes]
        return [f"a {what} ended with {code}" for code in codes if code]
