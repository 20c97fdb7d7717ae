"""How a handle waits for the end of its run: the pauses between two looks, and the time-out of the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from jobistemer.core.checks import show
from jobistemer.core.durations import LONGEST_WINDOW_S
from jobistemer.core.errors import InvalidInput, NotConnected, ResultTimeout
from jobistemer.store.server.connection import LONGEST_PAUSE_S
from jobistemer.store.server.deadline import Deadline

FIRST_PAUSE_S = 0.002
"""How long `RunHandle.result` waits before it reads the record for the second time."""
FIRST_LOOK_S = 1.0
"""How long the first look may take: a run that has ended gives its result also to a caller who cannot wait."""


@contextmanager
def wait_for_end(
    run_id: str, timeout: float | None, longest_pause: Callable[[], float] = lambda: LONGEST_PAUSE_S
) -> Iterator[Iterator[float]]:
    """Give the pauses between two looks at a run, in seconds; the time-out holds for the looks as well.

    Raises ResultTimeout when the time is over, or InvalidInput for a time-out that is not a number.
    """
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout <= inf
    if timeout is not None and not is_number:
        raise InvalidInput(f"timeout is {show(timeout)}, allowed are seconds, or None for ever")
    if timeout is None:
        yield _grow_pauses(inf, longest_pause, "")
        return
    # A number of 400 digits is no float, and a year is for ever; a time that is over is over, by however much.
    timeout = max(0, min(timeout, LONGEST_WINDOW_S))
    ends_at = time.monotonic() + timeout
    with Deadline(max(timeout, FIRST_LOOK_S)):
        try:
            said = f"run {run_id} has not ended within {timeout} s; it goes on, ask again later"
            yield _grow_pauses(ends_at, longest_pause, said)
        except NotConnected as error:
            if time.monotonic() < ends_at:
                raise
            raise ResultTimeout(f"the server has not told within {timeout} s whether run {run_id} has ended") from error


def _grow_pauses(ends_at: float, longest_pause: Callable[[], float], said: str) -> Iterator[float]:
    pause = FIRST_PAUSE_S
    while True:
        yield max(0.0, min(pause, ends_at - time.monotonic()))
        if time.monotonic() >= ends_at:
            raise ResultTimeout(said)
        pause = min(pause * 1.5, longest_pause())
