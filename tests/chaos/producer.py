"""A producer under chaos: enqueues calls until it is asked to end, and notes each one that was acknowledged.

python -m tests.chaos.producer FILE PAUSE
"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.runtime.repeat import retry_until_done
from jobistemer.runtime.shutdown import Shutdown
from tests.chaos.app import app


def main(acknowledged: Path, pause: float) -> None:
    shutdown, never = Shutdown(), threading.Event()
    shutdown.listen()
    with acknowledged.open("a", buffering=1) as notes:
        while not shutdown.requested.wait(pause):
            # The same call until it is acknowledged: its run id makes a second send harmless.
            message, call = app.producer.prepare(app.request("call", {}))
            database = app.namespace.for_id(message.run)
            retry_until_done(lambda: database.call(call), never, "producer")  # noqa: B023 - called at once
            notes.write(f"{message.run}\n")


if __name__ == "__main__":
    logging.basicConfig(level="WARNING")
    try:
        app.namespace.connect()
        main(Path(sys.argv[1]), float(sys.argv[2]))
    except (NotConnected, ServerRefused) as error:
        sys.exit(str(error))
