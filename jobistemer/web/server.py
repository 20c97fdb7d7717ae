"""The process of a dashboard: it listens, serves with uvicorn, and ends in order."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette

from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.repeat import start_thread
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.connection import redact_url
from jobistemer.web.application import make_application
from jobistemer.web.shared.settings import DashboardSettings

GRACE_S = 3
"""The seconds that open requests have to end after the process was asked to stop."""

BACKLOG = 128

log = logging.getLogger("jobistemer.web.serving")


def serve(namespace: Namespace, settings: DashboardSettings, host: str, port: int, shutdown: Shutdown) -> None:
    """Serve until the process is asked to stop. Raises Misconfigured when it cannot listen on the address."""
    listener = _listen(host, port)
    server = uvicorn.Server(build_config(make_application(namespace, settings)))
    # In a thread of its own: signals arrive in the main thread, and there uvicorn would install handlers of its own.
    thread = start_thread(lambda: server.run(sockets=[listener]), "dashboard")
    mode = "read-only, " if settings.read_only else ""
    log.info(
        "dashboard of %s at %s: %s%s%s",
        namespace.name,
        redact_url(namespace.url),
        mode,
        _format_address(host, listener),
        settings.root_path.lstrip("/"),
    )
    shutdown.wait()
    server.should_exit = True
    thread.join(GRACE_S + 2)
    listener.close()
    namespace.close()


def build_config(application: Starlette, **options: Any) -> uvicorn.Config:
    """Build the configuration of uvicorn: it logs problems only, and no response names the server software."""
    return uvicorn.Config(
        application,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
        **options,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Not `create_server`: it names no protocol, and asyncio then does not switch off the delay of small packets, which
    # costs each page on a kept connection 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"the dashboard cannot listen on {host} port {port}: {error.strerror}; choose another with --host or --port"
        ) from error
    return listener


def _format_address(host: str, listener: socket.socket) -> str:
    host_part = f"[{host}]" if ":" in host else host
    return f"http://{host_part}:{listener.getsockname()[1]}/"
