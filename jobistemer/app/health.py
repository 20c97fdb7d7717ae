"""Health of an application that enqueues: whether the server answers, and whether somebody is there who works."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.queues import find_served_queues, is_present, list_tickers, list_workers
from jobistemer.store.reads.server import read_version
from jobistemer.store.server.deadline import Deadline


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What an application's own probe can tell.

    connected: the server answers. version: of the server, empty when it does not tell. tickers, workers: how many are
    there now. unserved: queues of the app that no worker serves. problems: what is wrong, in words; empty when all is
    well. A web application that can still enqueue is ready as long as `connected` is true.
    """

    connected: bool
    version: str = ""
    tickers: int = 0
    workers: int = 0
    unserved: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.problems


def find_health(namespace: Namespace, queues: Collection[str], timeout: float) -> Health:
    """Ask the server, and return what it says within `timeout` seconds; nothing is raised when it is away."""
    try:
        with Deadline(timeout):
            namespace.read_clock()
            return _look(namespace, queues)
    except (NotConnected, ServerRefused) as error:
        return Health(connected=isinstance(error, ServerRefused), problems=(str(error),))


def _look(namespace: Namespace, queues: Collection[str]) -> Health:
    shards, now_ms = namespace.shards, namespace.clock.now_ms()
    workers = list_workers(shards)
    tickers = [each for each in list_tickers(shards) if is_present(each, now_ms)]
    served = find_served_queues(workers, now_ms)
    unserved = tuple(sorted(set(queues) - served))
    problems = [] if tickers else ["no ticker is there: no job fires, and nothing delayed starts"]
    problems += [f"no worker serves queue {each}" for each in unserved]
    return Health(
        connected=True,
        version=read_version(shards[0]),
        tickers=len(tickers),
        workers=sum(is_present(each, now_ms) for each in workers),
        unserved=unserved,
        problems=tuple(problems),
    )
