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
from jobistemer.runtime.http_endpoint import LOOPBACK, Page, health_response, serve, serve_at_socket
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.process import METRICS_OFF
from jobistemer.runtime.supervised_health import SupervisedHealth
from jobistemer.runtime.supervisor import Supervisor
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.metrics import Gauges

F = TypeVar("F", bound=Callable[..., Any])

MeasureSource = Callable[[], list[Measure]]
OFF, PROCESS, CLUSTER = METRICS = (METRICS_OFF, "process", "cluster")

log = logging.getLogger("jobistemer")


class HealthSource(Protocol):
    """A worker or a ticker."""

    liveness: Liveness

    def ready(self) -> list[str]:
        """Why nobody should rely on it."""
        ...

    def measures(self) -> list[Measure]:
        """What it has to tell in numbers."""
        ...


class HealthOptions(Protocol):
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


def has_metrics(options: HealthOptions) -> bool:
    """Whether a process is to count what it does."""
    return options.metrics != OFF


def serve_health(source: HealthSource, namespace: Namespace, options: HealthOptions) -> None:
    """Let a process answer how it is, as long as it lives. Raises Misconfigured."""
    _check_options(options)
    pages: dict[str, Page] = {
        "/livez": lambda: health_response(source.liveness.stuck_threads()),
        "/readyz": lambda: health_response(source.ready()),
    }
    if has_metrics(options):
        cluster_sources = [Gauges(namespace).measures] if options.metrics == CLUSTER else []
        pages["/metrics"] = _build_metrics_page([source.measures, *cluster_sources])
    if options.health_socket is not None:
        serve_at_socket(pages, options.health_socket)
    else:
        _serve_pages(pages, options)


@contextmanager
def open_health_sockets(count: int, options: HealthOptions) -> Iterator[dict[str, Path]]:
    """Sockets for the processes of a supervisor, by their names; none when nobody will ask. Raises Misconfigured."""
    _check_options(options)
    if options.health_port is None:
        yield {}
        return
    with TemporaryDirectory(prefix="jobistemer-") as folder:
        yield {f"process {number}": Path(folder) / str(number) for number in range(1, count + 1)}


def assign_sockets(sockets: Mapping[str, Path], options: HealthOptions) -> Iterator[tuple[Path, str]]:
    """Where each process of a supervisor answers, and what it tells: the first speaks of the cluster for all."""
    for number, socket in enumerate(sockets.values()):
        yield socket, PROCESS if number and options.metrics == CLUSTER else options.metrics


def serve_supervised_health(supervisor: Supervisor, sockets: Mapping[str, Path], options: HealthOptions) -> None:
    """Let a supervisor answer for its processes. Raises Misconfigured."""
    if sockets:
        health = SupervisedHealth(sockets, supervisor.liveness)
        pages: dict[str, Page] = {"/livez": health.livez, "/readyz": health.readyz}
        _serve_pages({**pages, "/metrics": health.create_metrics_page()} if has_metrics(options) else pages, options)


def _check_options(options: HealthOptions) -> None:
    if has_metrics(options) and options.health_port is None and options.health_socket is None:
        raise Misconfigured(f"--metrics {options.metrics}: say where they are to be asked for, by --health-port")


def _build_metrics_page(sources: list[MeasureSource]) -> Page:
    try:
        # prometheus_client is an extra: it is imported only where the option asks for it.
        from jobistemer.contrib import prometheus  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Misconfigured(f"--metrics: {error}; install it: pip install 'jobistemer[prometheus]'") from error
    return prometheus.page(sources)


def _serve_pages(pages: Mapping[str, Page], options: HealthOptions) -> None:
    if options.health_port is not None:
        log.info("health endpoint: %s", serve(pages, options.health_host, options.health_port))
