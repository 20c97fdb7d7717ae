"""Facts about this process: an id that is unique across restarts and containers, its user, and its memory."""

from __future__ import annotations

import getpass
import os
import re
import secrets
import socket
import time
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def process_identity() -> str:
    """Return a new id for this process that people can read in lists: `web-1.4242.9f3a`.

    It consists of the host, the process id and random digits, because containers may share a host name and a pid.
    """
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:24] or "host"
    return f"{host}.{os.getpid()}.{secrets.token_hex(2)}"


def user_name() -> str:
    """Return the user of this process for audit lists: `ana@web-1`."""
    host = socket.gethostname()
    try:
        return f"{getpass.getuser()}@{host}"
    except (KeyError, OSError):
        # A container's user need not have a name.
        return f"uid {os.getuid()}@{host}"


def read_memory_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 where the system has no /proc, or the process is gone."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return resident * _PAGE_BYTES / 2**20


class ProcessUsage:
    """The memory of this process and its share of one processor, since the last look a second or more ago."""

    def __init__(self) -> None:
        self._looked_at, self._used_s = time.monotonic(), time.process_time()
        self._seen: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """Return `memory_mib` and `cpu_percent`; without children, and none of them before the first second."""
        now, used_s = time.monotonic(), time.process_time()
        if now - self._looked_at >= 1.0:
            share = 100 * (used_s - self._used_s) / (now - self._looked_at)
            self._seen = {"memory_mib": round(read_memory_mib(os.getpid()), 1), "cpu_percent": round(share, 1)}
            self._looked_at, self._used_s = now, used_s
        return self._seen
