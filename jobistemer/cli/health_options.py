"""`--health-port`: where probes and scrapers ask a process how it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import click

from jobistemer.core.errors import Misconfigured
from jobistemer.core.reads.metrics import Measure
from jobistemer.runtime.http_endpoint import LOOPBACK, Page, serve, serve_at_socket, verdict
from jobistemer.runtime.liveness import Vitals
from jobistemer.runtime.process import METRICS_OFF
from jobistemer.runtime.supervised_health import Together
from jobistemer.runtime.supervisor import Supervisor
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.metrics import Gauges

F = TypeVar("F", bound=Callable[..., Any])

Source = Callable[[], list[Measure]]
OFF, PROCESS, CLUSTER = METRICS = (METRICS_OFF, "process", "cluster")

log = logging.getLogger("jobistemer")


class Role(Protocol):
    """A worker or a ticker."""

    vitals: Vitals

    def ready(self) -> list[str]:
        """Why nobody should rely on it."""
        ...

    def measures(self) -> list[Measure]:
        """What it has to tell in numbers."""
        ...


class Where(Protocol):
    """What the options say."""

    @property
    def health_port(self) -> int | None:
        """The port, 0 for any that is free, None for no endpoint."""
        ...

    @property
    def health_host(self) -> str:
        """The address to bind to."""
        ...

    @property
    def health_socket(self) -> Path | None:
        """Where a supervisor asks."""
        ...

    @property
    def metrics(self) -> str:
        """One of METRICS."""
        ...


def health_options(function: F) -> F:
    """Add the options of the endpoint."""
    port = click.option("--health-port", type=click.IntRange(0, 65535), metavar="PORT",
                        help="Answer /livez and /readyz there; 0: at a free port. By default nowhere.")  # fmt: skip
    host = click.option("--health-host", default=LOOPBACK, show_default=True, metavar="ADDRESS",
                        help="What it binds to; 0.0.0.0 for all addresses of the machine.")  # fmt: skip
    path = click.option("--health-socket", type=click.Path(path_type=Path), hidden=True,
                        help="Answer a supervisor at this socket instead.")  # fmt: skip
    metrics = click.option("--metrics", type=click.Choice(METRICS), default=OFF, show_default=True,
                           help="Answer /metrics too: of this process, or of the cluster as well.")  # fmt: skip
    return port(host(metrics(path(function))))


def counts(where: Where) -> bool:
    """Whether a process is to count what it does."""
    return where.metrics != OFF


def observe(role: Role, namespace: Namespace, where: Where) -> None:
    """Let a process answer how it is, as long as it lives. Raises Misconfigured."""
    _check(where)
    pages: dict[str, Page] = {
        "/livez": lambda: verdict(role.vitals.stuck()),
        "/readyz": lambda: verdict(role.ready()),
    }
    if counts(where):
        of_cluster = [Gauges(namespace).measures] if where.metrics == CLUSTER else []
        pages["/metrics"] = _metrics([role.measures, *of_cluster])
    if where.health_socket is not None:
        serve_at_socket(pages, where.health_socket)
    else:
        _serve(pages, where)


@contextmanager
def places_to_ask(count: int, where: Where) -> Iterator[dict[str, Path]]:
    """Sockets for the processes of a supervisor, by their names; none when nobody will ask. Raises Misconfigured."""
    _check(where)
    if where.health_port is None:
        yield {}
        return
    with TemporaryDirectory(prefix="jobistemer-") as folder:
        yield {f"process {number}": Path(folder) / str(number) for number in range(1, count + 1)}


def share_out(sockets: Mapping[str, Path], where: Where) -> Iterator[tuple[Path, str]]:
    """Where each process of a supervisor answers, and what it tells: the first speaks of the cluster for all."""
    for number, socket in enumerate(sockets.values()):
        yield socket, PROCESS if number and where.metrics == CLUSTER else where.metrics


def observe_together(supervisor: Supervisor, sockets: Mapping[str, Path], where: Where) -> None:
    """Let a supervisor answer for its processes. Raises Misconfigured."""
    if sockets:
        together = Together(sockets, supervisor.vitals)
        pages: dict[str, Page] = {"/livez": together.livez, "/readyz": together.readyz}
        _serve({**pages, "/metrics": together.metrics} if counts(where) else pages, where)


def _check(where: Where) -> None:
    if counts(where) and where.health_port is None and where.health_socket is None:
        raise Misconfigured(f"--metrics {where.metrics}: say where they are to be asked for, by --health-port")


def _metrics(sources: list[Source]) -> Page:
    try:
        # prometheus_client is an extra: it is imported only where the option asks for it.
        from jobistemer.contrib import prometheus  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Misconfigured(f"--metrics: {error}; install it: pip install 'jobistemer[prometheus]'") from error
    return prometheus.page(sources)


def _serve(pages: Mapping[str, Page], where: Where) -> None:
    if where.health_port is not None:
        log.info("health endpoint: %s", serve(pages, where.health_host, where.health_port))
