"""Who a process is: host, pid and a few random digits, unique across restarts and containers."""

from __future__ import annotations

import getpass
import os
import re
import secrets
import socket


def process_identity() -> str:
    """An id that people can read in lists: `web-1.4242.9f3a`."""
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:24] or "host"
    return f"{host}.{os.getpid()}.{secrets.token_hex(2)}"


def user_name() -> str:
    """Who runs this process, for audit lists: `ana@web-1`."""
    host = socket.gethostname()
    try:
        return f"{getpass.getuser()}@{host}"
    except (KeyError, OSError):
        # A container's user need not have a name.
        return f"uid {os.getuid()}@{host}"
