"""The stories of a campaign. Each is one fault, which is done again and again until the time of the story is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.chaos.campaign.garbage import spoil_keys
from tests.chaos.campaign.scene import LEASE_S, ClockedServer, Scene, hears_sigterm
from tests.chaos.system import wait_until

AWAY_S = 1.5


def kill_worker(scene: Scene) -> None:
    """A worker is killed while it executes runs, and another one is started."""
    at = scene.choose_busy(scene.workers)
    scene.workers[at].kill()
    scene.workers[at].wait()
    scene.workers[at] = scene.system.worker()


def kill_ticker(scene: Scene) -> None:
    """A ticker is killed, and another one is started."""
    at = scene.choose(scene.tickers)
    scene.tickers[at].kill()
    scene.tickers[at].wait()
    scene.tickers[at] = scene.system.ticker()


def kill_producer(scene: Scene) -> None:
    """A producer is killed in the middle of its calls, and another one is started."""
    at = scene.choose(scene.producers)
    scene.producers[at].kill()
    scene.producers[at].wait()
    scene.producers[at], before = scene.start_producer(), scene.ledger.count()[0]
    wait_until("others were acknowledged", lambda: scene.ledger.count()[0] > before + 50)


def freeze_worker(scene: Scene) -> None:
    """A worker is stopped for longer than its lease while it executes runs, and continues as a zombie."""
    frozen = scene.workers[scene.choose_busy(scene.workers)]
    frozen.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S + 3)
    frozen.send_signal(signal.SIGCONT)


def pause_server(scene: Scene) -> None:
    """The server does not answer, with all connections open."""
    scene.server.freeze()
    time.sleep(AWAY_S)
    scene.server.thaw()


def restart_server(scene: Scene) -> None:
    """The server is killed and comes back with its append-only file."""
    scene.server.kill()
    time.sleep(AWAY_S)
    scene.server.start()


def cut_connections(scene: Scene) -> None:
    """Connections break in the middle of replies, so that calls are sent again."""
    assert scene.proxy is not None
    cuts = scene.proxy.cuts
    scene.proxy.cutting.set()
    wait_until("connections were cut", lambda: scene.proxy is not None and scene.proxy.cuts >= cuts + 10)
    scene.proxy.cutting.clear()


def step_clock(scene: Scene) -> None:
    """The server's clock jumps forward by twenty seconds, and later back."""
    assert isinstance(scene.server, ClockedServer)
    scene.server.clock.turn(20)
    time.sleep(AWAY_S)
    scene.server.clock.turn(0)
    # What was decided ahead is decided: until the clock is there again, no instant is due.
    time.sleep(20)


def fill_memory(scene: Scene) -> None:
    """The server is at its memory limit and refuses what grows."""
    used = int(scene.client.info("memory")["used_memory"])
    scene.client.config_set("maxmemory", used)
    time.sleep(AWAY_S)
    scene.client.config_set("maxmemory", 0)


def empty_server(scene: Scene) -> None:
    """The server is emptied, and the app is deployed again: what was acknowledged before is gone."""
    scene.client.flushall()
    time.sleep(AWAY_S)
    scene.system.deploy()
    wait_until("its processes have seen it", lambda: scene.database().client.zcard(scene.database().keys.workers) == 3)
    scene.since = time.monotonic()
    scene.ledger.forget_open()
    wait_until("work is under way again", lambda: len(scene.ledger.acknowledged(scene.since)) > 100)


def restart_processes(scene: Scene) -> None:
    """Each worker and ticker is replaced, one after the other, as in a rolling deploy."""
    for processes, start in ((scene.workers, scene.system.worker), (scene.tickers, scene.system.ticker)):
        for at, old in enumerate(list(processes)):
            fresh = processes[at] = start()
            wait_until("the new one is there", lambda fresh=fresh: hears_sigterm(fresh))
            old.terminate()
            code = old.wait(timeout=60)
            assert code == 0, f"it ended with {code}"


class Story(NamedTuple):
    """A fault, and what its scene needs: a proxy, a server with a clock that can be turned."""

    fault: Callable[[Scene], None]
    proxy: bool = False
    clock: bool = False


STORIES = {
    "workers killed": Story(kill_worker),
    "connections cut": Story(cut_connections, proxy=True),
    "server restarted": Story(restart_server),
    "rolling restart": Story(restart_processes),
    "server paused": Story(pause_server),
    "tickers killed": Story(kill_ticker),
    "producers killed": Story(kill_producer),
    "workers frozen": Story(freeze_worker),
    "clock stepped": Story(step_clock, clock=True),
    "memory full": Story(fill_memory),
    "server emptied": Story(empty_server),
    "garbage in keys": Story(spoil_keys),
}
SHORT = tuple(STORIES)[:5]
"""The stories of a short campaign, as in CI."""
EVERYTHING = "all"
