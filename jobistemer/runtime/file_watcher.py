"""Notice that Python files below a folder have changed, by looking at them now and then."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

LOOK_S = 0.5
MAX_FILES = 20_000


class FileWatcher:
    """Asked as often as one likes, it looks twice a second. Hidden folders and virtual environments are left out."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self._seen = self._scan()
        self._next = time.monotonic() + LOOK_S

    def __call__(self) -> bool:
        """Whether a file was changed, added or removed since this was asked the last time."""
        if time.monotonic() < self._next:
            return False
        before, self._seen = self._seen, self._scan()
        self._next = time.monotonic() + LOOK_S
        return before != self._seen

    def _scan(self) -> dict[str, tuple[int, int]]:
        found = {}
        for entry in self._files():
            try:
                status = entry.stat()
            except OSError:
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
