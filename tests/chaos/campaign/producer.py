"""A producer of a campaign: it enqueues calls of all kinds until it is asked to end, and notes those acknowledged.

python -m tests.chaos.campaign.producer SEED PAUSE
"""

from __future__ import annotations

import random
import sys

from jobistemer import NotConnected, ServerRefused
from jobistemer.runtime.shutdown import Shutdown
from tests.chaos.campaign.app import app, ledger

KEYS = 5


def enqueue(chance: random.Random) -> tuple[list[str], str]:
    """Enqueue one call, or some; which were acknowledged, and their kind."""
    kind = chance.choice(("call", "call", "call_async", "many", "delayed", "limited", "keyed", "fails_once"))
    match kind:
        case "call":
            return [app.enqueue("call", {"seconds": chance.choice((0.0, 0.01, 0.1))}).id], kind
        case "many":
            return [each.id for each in app.enqueue_many(app.request("call_async", {}) for _ in range(20))], kind
        case "delayed":
            return [app.enqueue("call_async", {}, delay=chance.uniform(0.1, 2)).id], kind
        case "keyed":
            key = f"key-{chance.randrange(KEYS)}"
            return [app.enqueue("keyed", {"key": key}, unique=key).id], kind
        case _:
            return [app.enqueue(kind, {}).id], kind


def main(seed: int, pause: float) -> None:
    shutdown, chance = Shutdown(), random.Random(seed)
    shutdown.listen()
    while not shutdown.requested.wait(pause):
        try:
            ledger.acknowledge(*enqueue(chance))
        except (NotConnected, ServerRefused):
            # Not acknowledged: it may have been enqueued or not. The campaign asks nothing of it.
            continue


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
