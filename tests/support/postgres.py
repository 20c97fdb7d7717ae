"""A PostgreSQL server of Debian for one test: started in a folder of its own, removed afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.clusters import free_port

USER = "postgres"


def find_binaries() -> Path | None:
    """Return the folder of the newest server that is installed; None without one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class Postgres:
    """A server that can be killed and started again on the same data."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"
        self._binaries, self._folder = binaries, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "--no-sync")

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        options = ("-D", str(self._folder / "data"), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._folder))
        self._process = subprocess.Popen(
            [*_as_user(), str(self._binaries / "postgres"), *options], stderr=subprocess.DEVNULL, start_new_session=True
        )
        while subprocess.run(
            [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        ).returncode:
            assert self._process.poll() is None, "PostgreSQL has ended"

    def kill(self) -> None:
        """Kill the server with all of its processes."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([*_as_user(), str(self._binaries / program), *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def running_postgres(binaries: Path) -> Iterator[Postgres]:
    """A server while the context lasts."""
    # The server refuses to run as root, and its own user cannot enter the folders of pytest.
    folder = Path(tempfile.mkdtemp(prefix="jobistemer-pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, USER)
    server = Postgres(binaries, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _as_user() -> list[str]:
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.getuid() == 0 else []
