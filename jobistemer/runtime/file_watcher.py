"""Detection of changed Python files below folders, by their size and time of change."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

SCAN_EVERY_S = 0.5
MAX_FILES = 20_000


class FileWatcher:
    """The Python files below folders. Hidden folders and virtual environments are left out.

    It may be called at any rate: it scans the folders at most twice a second, and at most MAX_FILES files.
    """

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._known = self._scan()
        self._next_scan = time.monotonic() + SCAN_EVERY_S

    def __call__(self) -> bool:
        """Return whether a file was changed, added or removed since the last scan."""
        if time.monotonic() < self._next_scan:
            return False
        before, self._known = self._known, self._scan()
        self._next_scan = time.monotonic() + SCAN_EVERY_S
        return before != self._known

    def _scan(self) -> dict[str, tuple[int, int]]:
        found = {}
        for entry in self._files():
            try:
                status = entry.stat()
            except OSError:
                # The file was removed after its folder was listed.
                continue
            found[entry.path] = (status.st_mtime_ns, status.st_size)
            if len(found) >= MAX_FILES:
                break
        return found

    def _files(self) -> Iterator[os.DirEntry[str]]:
        waiting = [str(folder) for folder in self._folders]
        while waiting:
            try:
                entries = list(os.scandir(waiting.pop()))
            except OSError:
                continue
            if any(entry.name == "pyvenv.cfg" for entry in entries):
                continue
            waiting += [each.path for each in entries if each.is_dir(follow_symlinks=False) and _is_source(each.name)]
            yield from (entry for entry in entries if entry.name.endswith(".py") and entry.is_file())


def _is_source(folder: str) -> bool:
    return not folder.startswith(".") and folder not in ("__pycache__", "node_modules")
