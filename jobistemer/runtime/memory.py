"""How much memory a process holds, as far as the system tells."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def memory_mib(pid: int) -> float:
    """Resident memory of a process in MiB; 0 where the system does not say (no /proc, or the process is gone)."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return resident * _PAGE / 2**20
