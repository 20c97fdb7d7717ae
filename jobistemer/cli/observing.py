"""`--health-port`: where probes and scrapers ask a process how it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import click

from jobistemer.runtime.endpoint import LOOPBACK, Page, serve, serve_at_socket, verdict
from jobistemer.runtime.supervising import Supervisor
from jobistemer.runtime.together import Together
from jobistemer.runtime.vitals import Vitals

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("jobistemer")


class Role(Protocol):
    """A worker or a ticker."""

    vitals: Vitals

    def ready(self) -> list[str]:
        """Why nobody should rely on it."""
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


def health_options(function: F) -> F:
    """Add the options of the endpoint."""
    port = click.option("--health-port", type=click.IntRange(0, 65535), metavar="PORT",
                        help="Answer /livez and /readyz there; 0: at a free port. By default nowhere.")  # fmt: skip
    host = click.option("--health-host", default=LOOPBACK, show_default=True, metavar="ADDRESS",
                        help="What it binds to; 0.0.0.0 for all addresses of the machine.")  # fmt: skip
    path = click.option("--health-socket", type=click.Path(path_type=Path), hidden=True,
                        help="Answer a supervisor at this socket instead.")  # fmt: skip
    return port(host(path(function)))


def observe(role: Role, where: Where) -> None:
    """Let a process answer how it is, as long as it lives. Raises Misconfigured."""
    pages: dict[str, Page] = {
        "/livez": lambda: verdict(role.vitals.stuck()),
        "/readyz": lambda: verdict(role.ready()),
    }
    if where.health_socket is not None:
        serve_at_socket(pages, where.health_socket)
    else:
        _serve(pages, where)


@contextmanager
def places_to_ask(count: int, where: Where) -> Iterator[dict[str, Path]]:
    """Sockets for the processes of a supervisor, by their names; none when nobody will ask."""
    if where.health_port is None:
        yield {}
        return
    with TemporaryDirectory(prefix="jobistemer-") as folder:
        yield {f"process {number}": Path(folder) / str(number) for number in range(1, count + 1)}


def observe_together(supervisor: Supervisor, sockets: Mapping[str, Path], where: Where) -> None:
    """Let a supervisor answer for its processes. Raises Misconfigured."""
    if sockets:
        together = Together(sockets, supervisor.vitals)
        _serve({"/livez": together.livez, "/readyz": together.readyz}, where)


def _serve(pages: Mapping[str, Page], where: Where) -> None:
    if where.health_port is not None:
        log.info("health endpoint: %s", serve(pages, where.health_host, where.health_port))
