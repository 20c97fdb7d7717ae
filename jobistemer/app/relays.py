"""The relays of an app: jobs that send what the application has stored in its own database."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Relay(NamedTuple):
    """A relay. The test kit calls it where calls may have been stored, in place of its job, which is due every second.

    send: sends stored calls, and returns how many rows it has looked at. count_stored: how many calls this process has
    stored so far.
    """

    send: Callable[[], int]
    count_stored: Callable[[], int]
