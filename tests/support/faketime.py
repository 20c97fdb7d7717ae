"""A clock that a test sets: servers run under libfaketime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def library() -> str:
    """Where Debian's libfaketime lies; .ci/run installs it, so that it is missing only where nobody can."""
    found = [str(each) for each in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    if not found and os.environ.get("CI"):
        raise AssertionError("libfaketime is not installed: apt-get install faketime")
    if not found:
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    return found[0]


class ServerClock:
    """Sets the clock of a server that is started with this environment."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.environment = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.turn(0)

    def turn(self, seconds: int) -> None:
        # In one step: a server that looked at an empty file would go by the true time.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}")
        fresh.replace(self._file)
