"""The entry of the processes that signals end in order: the ticker, the worker, `jobistemer dev` and the dashboard.

It hears signals before it imports the rest, which takes a good half of a second. A module beside the package, because
an import of anything in `jobistemer` imports the package first.

    python -m jobistemer_start worker|ticker|dashboard …
"""

import atexit
import gc
import os
import signal
import sys
from types import FrameType

# Without `Final`: `typing` takes longer to import than all of this, and until then no signal is heard.
_ENDING = (signal.SIGTERM, signal.SIGINT)
_PROCESSES_OF_ROOT = ("dev", "dashboard")
"""The commands of `jobistemer` that are processes; the others end as commands of a shell do."""


def start_ticker() -> None:
    """Run `jobistemer-ticker`."""
    _end_on_signals("jobistemer-ticker")
    from jobistemer.cli.commands.ticker import ticker_command  # noqa: PLC0415 - after the signals, as this module says

    ticker_command(prog_name="jobistemer-ticker")


def start_worker() -> None:
    """Run `jobistemer-worker`."""
    _end_on_signals("jobistemer-worker")
    from jobistemer.cli.commands.worker import worker_command  # noqa: PLC0415 - after the signals, as this module says

    worker_command(prog_name="jobistemer-worker")


def start_command() -> None:
    """Run `jobistemer`."""
    if sys.argv[1:2] and sys.argv[1] in _PROCESSES_OF_ROOT:
        _end_on_signals(f"jobistemer {sys.argv[1]}")
    # The collections of an interpreter that ends look for garbage in all that goes anyway: a fifth of a deployment.
    atexit.register(gc.freeze)
    gc.disable()
    from jobistemer.cli import main  # noqa: PLC0415 - after the signals, as this module says

    gc.freeze()
    gc.enable()
    main(prog_name="jobistemer")


def _end_on_signals(name: str) -> None:
    """End the process with 0 and a line on SIGTERM and SIGINT, until it is prepared and hears them itself.

    A parent may start it with these signals held back (`runtime.child_process`), so that none comes too early.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        # At once: nothing has begun, and an application that is being imported might catch an exception.
        os.write(2, f"{name}: {signal.Signals(number).name} during the start: ended, nothing has begun\n".encode())
        os._exit(0)

    for number in _ENDING:
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


if __name__ == "__main__":
    if sys.argv[1] == "dashboard":
        start_command()
    else:
        # The role stands in front of its own arguments, which a supervisor hands on.
        {"ticker": start_ticker, "worker": start_worker}[sys.argv.pop(1)]()
