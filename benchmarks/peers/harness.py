"""One measurement's surroundings: which peer, which setting, which cores, and what is started for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.catalogue import Peer
from benchmarks.peers.paths import LOGS
from benchmarks.peers.processes import Cores, ProcessSet, Producer
from benchmarks.peers.servers import Server

PLACEMENTS: dict[str, tuple[Cores, Cores]] = {"one core": ((0,), (0,)), "two cores": ((0,), (1,)), "free": ((), ())}
"""The cores of the server and those of everything else."""


@dataclass
class Harness:
    """A fresh server for one peer and setting, and the ways to start what works on it."""

    peer: Peer
    setting: str
    server: Server
    cores: Cores
    scratch: Path
    schedules: int = 0
    due: str = "second"

    @property
    def marks(self) -> Path:
        return self.scratch / "marks"

    def unfinished(self) -> int:
        return self.peer.unfinished(self.server.client)

    def producer(self, patience: float = 30) -> Producer:
        programs = self.peer.programs(self.setting)
        name = f"on_{self.peer.name}"
        command = ["node", f"{name}.mjs"] if self.peer.node else [str(programs / "python"), "produce.py", name]
        return Producer(command, self._environment(), self.cores, self._log("producer"), patience)

    def workers(self, processes: int = 1) -> ProcessSet:
        assert self.peer.worker is not None
        return self._start(self.peer.worker(*self._worker_args(), processes), "worker")

    def schedulers(self) -> ProcessSet:
        return self._start(
            [] if self.peer.scheduler is None else self.peer.scheduler(*self._worker_args(), 1), "scheduler"
        )

    def _worker_args(self) -> tuple[Path, str]:
        return self.peer.programs(self.setting), self.setting

    def _start(self, commands: list[list[str]], role: str) -> ProcessSet:
        placed = [[part.replace("{scratch}", str(self.scratch)) for part in command] for command in commands]
        return ProcessSet(placed, self._environment(), self.cores, self._log(role))

    def _log(self, role: str) -> Path:
        return LOGS / f"{self.peer.name}-{self.setting}-{role}.log"

    def _environment(self) -> dict[str, str]:
        programs = self.peer.programs(self.setting)
        return {
            **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
            "PATH": f"{programs}:{os.environ.get('PATH', '')}",
            "PYTHONPATH": ".",
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENCH_URL": self.server.url,
            "BENCH_SETTING": self.setting,
            "BENCH_MARKS": str(self.marks),
            "BENCH_SCHEDULES": str(self.schedules),
            "BENCH_DUE": self.due,
            "BENCH_MODULES": str(programs / "node_modules"),
            "JOBISTEMER_URL": self.server.url,
            "RQ_REDIS_URL": self.server.url,
            "DOCKET_URL": self.server.url,
            **(self.peer.tuned_environment if self.setting == "tuned" else {}),
        }


@contextmanager
def open_harness(peer: Peer, setting: str, placement: str, kind: str, **more: object) -> Iterator[Harness]:
    server_cores, cores = PLACEMENTS[placement]
    with tempfile.TemporaryDirectory() as scratch, Server(kind, server_cores) as server:
        yield Harness(peer, setting, server, cores, Path(scratch), **more)  # type: ignore[arg-type]


Figures = dict[str, float]
Step = Callable[[Harness], Figures]
