"""A small HTTP endpoint for probes and scrapers, on threads of its own: a few pages, made when they are asked for.

It stands at an address, or at a socket in the file system, by which a supervisor asks its processes.
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
"""How long who asks and who answers wait for one another."""
MAX_AT_ONCE = 50
"""How many are answered at a time: whoever may reach the endpoint, it costs a process no more threads than that."""
POLL_S = 3600.0
"""How often it looks up while nobody asks; it is never shut down but with its process."""
TEXT = "text/plain; charset=utf-8"

log = logging.getLogger("jobistemer")


class Response(NamedTuple):
    """What a page says."""

    status: int
    body: bytes
    content_type: str = TEXT


Page = Callable[[], Response]


def health_response(reasons: list[str]) -> Response:
    """200 when there is no reason against it, else 503 with the reasons, one a line."""
    if not reasons:
        return Response(200, b"ok\n")
    return Response(503, "".join(f"{reason}\n" for reason in reasons).encode("utf-8", "backslashreplace"))


def serve(pages: Mapping[str, Page], host: str, port: int) -> str:
    """Answer at an address until the process ends; its URL. Raises Misconfigured when that is not to be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server_class = type("_TcpServer", (_TcpServer,), {"address_family": family})
        server = server_class(address[:2], _build_handler(pages))
    except OSError as error:
        raise Misconfigured(f"health endpoint: {host} port {port} cannot be used: {error}") from error
    start_thread(lambda: server.serve_forever(POLL_S), "endpoint")
    host_text = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
    return f"http://{host_text}:{server.server_address[1]}"


def serve_at_socket(pages: Mapping[str, Page], path: Path) -> None:
    """Answer at a socket in the file system; who stood there before is heard no more."""
    path.unlink(missing_ok=True)
    server = _UnixServer(str(path), _build_handler(pages))
    start_thread(lambda: server.serve_forever(POLL_S), "endpoint")


def fetch_page(path: Path, page: str) -> Response:
    """What the process at a socket says. Raises OSError when there is nobody, or nobody who answers."""
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
        """Answer on a thread of its own; who comes when too many ask already is turned away."""
        if self._free_threads.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            request.close()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_threads.release()

    @cached_property
    def _free_threads(self) -> threading.Semaphore:
        return threading.Semaphore(MAX_AT_ONCE)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as the class above
        """Who asks may hang up before the answer: nothing to tell people of."""
        log.debug("endpoint: an answer could not be given to %s", client_address)


class _TcpServer(_ThreadedServer, HTTPServer):
    def server_bind(self) -> None:
        """Take the address, without asking a name server what it is called, as the class above does."""
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
            """Answer with a page."""
            response = _render_page(pages, urlsplit(self.path).path)
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(response.body)

        do_HEAD = do_GET  # noqa: N815 - the name that the class above looks for

        def version_string(self) -> str:
            """Who answers; of which version is nobody's business."""
            return "jobistemer"

        def log_message(self, form: str, *args: object) -> None:
            """Probes come every few seconds, and what they ask is theirs to choose."""
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
