"""A small HTTP endpoint for probes and scrapers, on threads of its own, with pages that are built for each request.

It listens at an address, or at a Unix socket through which a supervisor reads the pages of its processes.
"""

from __future__ import annotations

import http.client
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.repeat import start_thread

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 2.0
"""Seconds that client and server wait for each other."""
MAX_AT_ONCE = 50
"""Requests answered at a time: an endpoint that anybody can reach must not cost a process more threads than these."""
POLL_S = 3600.0
"""Seconds between two checks for a shutdown, which never comes: the endpoint ends with its process."""
TEXT = "text/plain; charset=utf-8"

log = logging.getLogger("jobistemer")


class Response(NamedTuple):
    """The answer of a page."""

    status: int
    body: bytes
    content_type: str = TEXT


Page = Callable[[], Response]


def health_response(reasons: list[str]) -> Response:
    """Return 200 when there are no reasons against it, else 503 with one reason in each line."""
    if not reasons:
        return Response(200, b"ok\n")
    return Response(503, "".join(f"{reason}\n" for reason in reasons).encode("utf-8", "backslashreplace"))


def serve(pages: Mapping[str, Page], host: str, port: int) -> str:
    """Answer at an address until the process ends. Returns the URL.

    Raises Misconfigured when the address cannot be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server_class = type("_TcpServer", (_TcpServer,), {"address_family": family})
        server = server_class(address[:2], _build_handler(pages))
    except OSError as error:
        raise Misconfigured(f"health endpoint: {host} port {port} cannot be used: {error}") from error
    start_thread(lambda: server.serve_forever(POLL_S), "health endpoint")
    host_text = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
    return f"http://{host_text}:{server.server_address[1]}"


def serve_at_socket(pages: Mapping[str, Page], path: Path) -> None:
    """Answer at a Unix socket until the process ends. It replaces an earlier socket at this path."""
    path.unlink(missing_ok=True)
    server = _UnixServer(str(path), _build_handler(pages))
    start_thread(lambda: server.serve_forever(POLL_S), "health endpoint")


def fetch_page(path: Path, page: str) -> Response:
    """Return a page of the process at a Unix socket. Raises OSError when nothing listens there, or gives no answer."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", page)
        found = connection.getresponse()
        return Response(found.status, found.read(), found.headers.get("Content-Type", TEXT))
    except http.client.HTTPException as error:
        raise OSError(f"no proper answer: {type(error).__name__}") from error
    finally:
        connection.close()


class _ThreadedServer(socketserver.ThreadingMixIn):
    daemon_threads = True
    request_queue_size = 128

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own; close the connection at once when too many requests are being answered."""
        if self._free_threads.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            request.close()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then let another request have this thread's place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_threads.release()

    @cached_property
    def _free_threads(self) -> threading.Semaphore:
        return threading.Semaphore(MAX_AT_ONCE)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature of socketserver
        """Log for debugging only: a client that closes the connection before the answer is no trouble."""
        log.debug("endpoint: an answer could not be given to %s", client_address)


class _TcpServer(_ThreadedServer, HTTPServer):
    def server_bind(self) -> None:
        """Bind the address without the look-up of its name that HTTPServer makes, which may hang."""
        socketserver.TCPServer.server_bind(self)


class _UnixServer(_ThreadedServer, socketserver.UnixStreamServer):
    pass


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def _build_handler(pages: Mapping[str, Page]) -> type[BaseHTTPRequestHandler]:
    class RequestHandler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S

        def do_GET(self) -> None:
            """Answer with the page of the path."""
            response = _render_page(pages, urlsplit(self.path).path)
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(response.body)

        do_HEAD = do_GET  # noqa: N815 - the name that BaseHTTPRequestHandler looks for

        def version_string(self) -> str:
            """Return the Server header without a version, which would help attackers only."""
            return "jobistemer"

        def log_message(self, form: str, *args: object) -> None:
            """Log for debugging only: probes come every few seconds, and clients choose the path."""
            log.debug("endpoint: %s", form % args)

    return RequestHandler


def _render_page(pages: Mapping[str, Page], path: str) -> Response:
    page = pages.get(path)
    if page is None:
        return Response(404, f"there is no such page; there are {', '.join(pages)}\n".encode())
    try:
        return page()
    except Exception as error:
        log.exception("endpoint: %s cannot be answered", path)
        return Response(500, f"{type(error).__name__}, see the log\n".encode())
