"""Each peer in an environment of its own under `.bench/`, made once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from benchmarks.peers.catalogue import JOBISTEMER, PEERS, Peer, settings_of
from benchmarks.peers.paths import BENCH, REPOSITORY


class CannotInstall(Exception):
    """An environment could not be made; the message says why."""


def install(peer: Peer) -> None:
    """Make what is missing. Raises CannotInstall."""
    for setting in settings_of(peer):
        home = peer.programs(setting) if peer.node else peer.programs(setting).parent
        packages = list(peer.tuned_packages if setting == "tuned" and peer.tuned_packages else peer.packages)
        stamp = home / ".installed"
        if stamp.exists() and stamp.read_text() == json.dumps(packages):
            continue
        home.mkdir(parents=True, exist_ok=True)
        if peer.node:
            _npm(peer, packages)
        else:
            _run([sys.executable, "-m", "venv", str(home)])
            wanted = ["-e", str(REPOSITORY)] if peer is JOBISTEMER else packages
            _run([str(home / "bin" / "pip"), "install", "--quiet", *wanted])
        stamp.write_text(json.dumps(packages))


def read_version(peer: Peer) -> str:
    if peer.node:
        package = peer.programs("default") / "node_modules" / peer.distribution / "package.json"
        return str(json.loads(package.read_text())["version"])
    ask = f"import importlib.metadata as m; print(m.version({peer.distribution!r}))"
    return _run([str(peer.programs("default") / "python"), "-c", ask]).strip()


def _npm(peer: Peer, packages: list[str]) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise CannotInstall("node and npm are needed: `apt-get install nodejs npm`")
    _run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(peer.programs("default")), *packages]
    )


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise CannotInstall(f"{command[0].rpartition('/')[2]} {command[1]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def install_all(peers: tuple[Peer, ...] = PEERS) -> dict[str, str]:
    """Install each; answer with the reasons of those that could not be."""
    BENCH.mkdir(exist_ok=True)
    failed = {}
    for peer in peers:
        try:
            install(peer)
        except (CannotInstall, subprocess.TimeoutExpired) as error:
            failed[peer.name] = str(error)
    return failed
