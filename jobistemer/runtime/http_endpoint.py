"""A small HTTP endpoint for probes and scrapers, on threads of its own, with pages that are built for each request.

It listens at an address, or at a Unix socket through which a supervisor reads the pages of its processes.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.http_pages import TEXT, Page, Response
from jobistemer.runtime.repeat import start_thread

TIMEOUT_S = 2.0
"""Seconds that client and server wait for each other, for the whole request and for the whole answer."""
MAX_AT_ONCE = 50
"""Requests answered at a time: an endpoint that anybody can reach must not cost a process more threads than these."""
DROP_S = 0.5
"""Seconds in which a client that was dropped has left its place."""
POLL_S = 3600.0
"""Seconds between two checks for a shutdown, which never comes: the endpoint ends with its process."""

log = logging.getLogger("jobistemer")


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
        """Answer on a thread of its own. When all are taken, the client that has sent its request longest gives way.

        A probe sends its request at once; without that, clients that send a byte a second would keep all probes out.
        """
        if not self._free_threads.acquire(blocking=False):
            self._drop_oldest()
            # Nobody gives way while all requests are being answered: then it is this client who is turned away.
            if not self._free_threads.acquire(timeout=DROP_S):
                request.close()
                return
        self._unread[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then let another request have this thread's place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._unread.pop(request, None)
            self._free_threads.release()

    def note_read(self, request: Any) -> None:
        """Take note that a request has been read, and that it is being answered."""
        self._unread.pop(request, None)

    def _drop_oldest(self) -> None:
        # The order is that of the connections. A thread may take its own out between the two steps.
        with suppress(StopIteration, KeyError, OSError):
            oldest = next(iter(self._unread.copy()))
            self._unread.pop(oldest)
            oldest.shutdown(socket.SHUT_RDWR)

    @cached_property
    def _free_threads(self) -> threading.Semaphore:
        return threading.Semaphore(MAX_AT_ONCE)

    @cached_property
    def _unread(self) -> dict[Any, None]:
        return {}

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


class _DeadlineReader(io.RawIOBase):
    """What a client sends. The time-out of a socket counts from the last byte; this one counts from the first."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = time.monotonic() + TIMEOUT_S

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is. Raises TimeoutError when the time for the request is over."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the time for the request is over")
        self._connection.settimeout(left_s)
        return self._connection.recv_into(buffer)


def _build_handler(pages: Mapping[str, Page]) -> type[BaseHTTPRequestHandler]:
    class RequestHandler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S

        def setup(self) -> None:
            """Read the request with one deadline for all of it."""
            super().setup()
            self.rfile = io.BufferedReader(_DeadlineReader(self.connection))

        def do_GET(self) -> None:
            """Answer with the page of the path."""
            self.server.note_read(self.connection)  # type: ignore[attr-defined] # both servers have it
            self.connection.settimeout(TIMEOUT_S)
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
