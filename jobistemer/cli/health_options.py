"""`--health-port` and `--metrics`: the HTTP endpoint that probes and scrapers of a process ask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from jobistemer.core.errors import Misconfigured
from jobistemer.core.reads.metrics import Measure
from jobistemer.runtime.http_pages import LOOPBACK, Page, health_response
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.process import METRICS_OFF
from jobistemer.store.namespace import Namespace

F = TypeVar("F", bound=Callable[..., Any])

MeasureSource = Callable[[], list[Measure]]
OFF, PROCESS, CLUSTER = METRICS = (METRICS_OFF, "process", "cluster")

log = logging.getLogger("jobistemer")


class HealthSource(Protocol):
    """A worker or a ticker."""

    liveness: Liveness

    def ready(self) -> list[str]:
        """Return the reasons why the process is not ready; none when it is."""
        ...

    def measures(self) -> list[Measure]:
        """Return what the process has counted and measured."""
        ...


class HealthOptions(Protocol):
    """The values of the options."""

    @property
    def health_port(self) -> int | None:
        """Return the port; 0 for any free one, None for no endpoint."""
        ...

    @property
    def health_host(self) -> str:
        """Return the address to bind to."""
        ...

    @property
    def health_socket(self) -> Path | None:
        """Return the socket at which a supervisor asks; None for none."""
        ...

    @property
    def metrics(self) -> str:
        """Return one of METRICS."""
        ...


def health_options(function: F) -> F:
    """Add the options of the endpoint."""
    port = click.option(
        "--health-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve /livez and /readyz over HTTP at this port, 0 for any free one; by default nowhere.",
    )
    host = click.option(
        "--health-host",
        default=LOOPBACK,
        show_default=True,
        metavar="ADDRESS",
        help="Address that the endpoint binds to, 0.0.0.0 for all addresses of the machine.",
    )
    path = click.option(
        "--health-socket",
        type=click.Path(path_type=Path),
        hidden=True,
        help="Serve a supervisor at this socket instead.",
    )
    metrics = click.option(
        "--metrics",
        type=click.Choice(METRICS, case_sensitive=False),
        default=OFF,
        show_default=True,
        help="Serve /metrics too, of this process alone or of the whole cluster as well.",
    )
    return port(host(metrics(path(function))))


def has_metrics(options: HealthOptions) -> bool:
    """Tell whether a process should count what it does."""
    return options.metrics != OFF


def serve_health(source: HealthSource, namespace: Namespace, options: HealthOptions) -> None:
    """Serve the health pages of one process until it ends. Raises Misconfigured."""
    check_health_options(options)
    pages: dict[str, Page] = {
        "/livez": lambda: health_response(source.liveness.stuck_threads()),
        "/readyz": lambda: health_response(source.ready()),
    }
    if has_metrics(options):
        pages["/metrics"] = _build_metrics_page([source.measures, *_list_cluster_sources(namespace, options)])
    if options.health_socket is not None:
        from jobistemer.runtime.http_endpoint import serve_at_socket  # noqa: PLC0415 - see below

        serve_at_socket(pages, options.health_socket)
    else:
        serve_pages(pages, options)


def check_health_options(options: HealthOptions) -> None:
    """Check the options against one another. Raises Misconfigured."""
    if has_metrics(options) and options.health_port is None and options.health_socket is None:
        raise Misconfigured(f"--metrics {options.metrics} needs --health-port, the port at which they are served")


def _list_cluster_sources(namespace: Namespace, options: HealthOptions) -> list[MeasureSource]:
    if options.metrics != CLUSTER:
        return []
    from jobistemer.store.reads.metrics import Gauges  # noqa: PLC0415 - see `serve_pages`

    return [Gauges(namespace).measures]


def _build_metrics_page(sources: list[MeasureSource]) -> Page:
    try:
        # prometheus_client is an extra: it is imported only where the option asks for it.
        from jobistemer.contrib import prometheus  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise Misconfigured(f"--metrics: {error}; install it: pip install 'jobistemer[prometheus]'") from error
    return prometheus.page(sources)


def serve_pages(pages: Mapping[str, Page], options: HealthOptions) -> None:
    """Serve pages by path at the port of the options, if they have one. Raises Misconfigured."""
    if options.health_port is not None:
        # A process without an endpoint does without http.server and all that it imports: half a megabyte.
        from jobistemer.runtime.http_endpoint import serve  # noqa: PLC0415 - see above

        log.info("health endpoint: %s", serve(pages, options.health_host, options.health_port))
