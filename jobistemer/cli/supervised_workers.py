"""Several worker processes under a supervisor: `jobistemer-worker --processes`, and `--watch`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jobistemer.cli.health_options import (
    CLUSTER,
    PROCESS,
    HealthOptions,
    check_health_options,
    has_metrics,
    serve_pages,
)
from jobistemer.runtime.child_process import process_command
from jobistemer.runtime.file_watcher import FileWatcher
from jobistemer.runtime.http_pages import Page
from jobistemer.runtime.process import ProcessOptions
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.runtime.supervised_health import SupervisedHealth
from jobistemer.runtime.supervisor import Supervisor


def supervise_workers(
    count: int, folders: list[Path] | None, process: ProcessOptions, shutdown: Shutdown, *, once: bool
) -> int:
    """Supervise worker processes until a signal asks for the end. Returns the exit code.

    folders: the folders of the app, whose changes restart the processes; None to watch nothing. once: processes that
    have ended in order are not replaced. Raises Misconfigured.
    """
    changes = None if folders is None else FileWatcher(folders)
    with _open_health_sockets(count, process) as sockets:
        assigned = [_build_process_command(*each) for each in _assign_sockets(sockets, process)]
        commands = assigned or [_build_process_command()] * count
        supervisor = Supervisor(commands, once=once, changed=changes)
        _serve_supervised_health(supervisor, sockets, process)
        return supervisor.run(shutdown)


def _build_process_command(socket: Path | None = None, metrics: str = "off") -> list[str]:
    """Return the command line of one process under a supervisor: this one, with options added that override it.

    socket: where the supervisor asks for the health of the process. metrics: which metrics it serves there.
    """
    single_process = ["--processes", "0", "--no-watch", "--until-eof"]
    endpoint = [] if socket is None else ["--health-socket", str(socket), "--metrics", metrics]
    return process_command("worker", *sys.argv[1:], *single_process, *endpoint)


@contextmanager
def _open_health_sockets(count: int, options: HealthOptions) -> Iterator[dict[str, Path]]:
    """Make a socket path for each process of a supervisor, by name; none without --health-port.

    Raises Misconfigured.
    """
    check_health_options(options)
    if options.health_port is None:
        yield {}
        return
    with TemporaryDirectory(prefix="jobistemer-") as folder:
        yield {f"process {number}": Path(folder) / str(number) for number in range(1, count + 1)}


def _assign_sockets(sockets: Mapping[str, Path], options: HealthOptions) -> Iterator[tuple[Path, str]]:
    """Return the socket and the metrics of each process of a supervisor.

    Only the first process reports the cluster: with each of them, every gauge would appear several times.
    """
    for number, socket in enumerate(sockets.values()):
        yield socket, PROCESS if number and options.metrics == CLUSTER else options.metrics


def _serve_supervised_health(supervisor: Supervisor, sockets: Mapping[str, Path], options: HealthOptions) -> None:
    """Serve the health pages of a supervisor, which asks its processes. Raises Misconfigured."""
    if sockets:
        health = SupervisedHealth(sockets, supervisor.liveness)
        pages: dict[str, Page] = {"/livez": health.livez, "/readyz": health.readyz}
        serve_pages({**pages, "/metrics": health.create_metrics_page()} if has_metrics(options) else pages, options)
