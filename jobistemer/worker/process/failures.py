"""How a handler process can fail, for those who start one and for the process itself."""

from __future__ import annotations

START_S = 60.0
"""Seconds that the import of the app may take."""


class ProcessNotStarted(Exception):
    """A process that could not be started, or could not import the app."""


class ProcessDied(Exception):
    """The end of a process while it ran a handler; the text says how it ended."""
