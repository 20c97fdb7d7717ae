"""Log lines about a cause that lasts: one at once, then at most one a minute, with the number of the others."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

INTERVAL_S = 60.0
MAX_CAUSES = 1_000
"""How many causes are remembered; the one that was logged the longest ago is forgotten first."""

_logged: dict[tuple[str, str], tuple[float, int]] = {}
_lock = threading.Lock()


def log_limited(log: logging.Logger, level: int, cause: str, text: str, *args: Any, **kwargs: Any) -> bool:
    """Log a line unless one about the same cause was logged within the last minute. Returns whether it was logged.

    cause: what the line is about; two lines with the same cause are one to a reader.
    """
    now, key = time.monotonic(), (log.name, cause)
    with _lock:
        at, held = _logged.get(key, (-INTERVAL_S, 0))
        if now - at < INTERVAL_S:
            _logged[key] = (at, held + 1)
            return False
        _logged.pop(key, None)
        _logged[key] = (now, 0)
        if len(_logged) > MAX_CAUSES:
            _logged.pop(next(iter(_logged)))
    if held:
        text, args = f"{text} (and %d times since the last such line)", (*args, held)
    log.log(level, text, *args, **kwargs)
    return True


def forget_logged() -> None:
    """Forget what was logged: for tests."""
    with _lock:
        _logged.clear()
