"""A port for the dashboard."""

from __future__ import annotations

import socket


def free_port(wanted: int) -> int:
    """The port that is wanted when nobody listens on it, else another one that is free."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as listening:
                found: int = listening.getsockname()[1]
                return found
        except OSError:
            continue
    return wanted
