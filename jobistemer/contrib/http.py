"""The task `http`: makes a request. Addresses that are not public are refused unless the worker allows them.

    from jobistemer.contrib import http

    request = http.install(app)
    request.enqueue("https://example.org/hook", method="POST", json={"order": 7})

The name is resolved once: the address that was checked is the one that is connected to. A name that resolves to another
address a moment later (DNS rebinding) gains nothing. Each redirect is checked like a first request. Proxies of the
environment are not used: they would resolve the name again.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from jobistemer.contrib.app_protocol import TaskMaker
from jobistemer.core.builtin_tasks import HTTP_TASK
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_BODY = 64 * 1024
"""The bytes of a response that are read and kept."""
MAX_REDIRECTS = 5
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The addresses that are routed on the public Internet. All others are refused: among them are forms that wrap IPv4
(`::127.0.0.1`, the NAT64 prefix of a site, 64:ff9b:1::/48), and old site-local addresses."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class HttpResult(msgspec.Struct, frozen=True):
    """The last response: status, headers with names in lower case, the beginning of the body as text.

    url: the address that sent it, after redirects.
    """

    status: int
    url: str
    headers: dict[str, str]
    body: str


class UnexpectedStatus(Exception):
    """The response has a status that was not expected. The retry policy of the task decides about another attempt."""


def install(app: TaskMaker, **options: Any) -> Any:
    """Declare the task `http` in an app. Returns its handle. options: as for `app.task`."""
    return app.task(name=HTTP_TASK, **options)(request)


def request(
    ctx: Context,
    url: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
    json: Any = None,
    expect: list[int] | None = None,
    timeout_s: float = 30.0,
) -> HttpResult:
    """Make a request and follow its redirects.

    expect: the statuses that are a success, by default 200–299. timeout_s: the seconds for all requests together.
    Raises Fail for a request that is refused, UnexpectedStatus or OSError for one that may succeed at another attempt.
    """
    if method not in METHODS:
        raise Fail(f"http: method is {method!r:.40}, allowed are {', '.join(METHODS)}")
    if body is not None and json is not None:
        raise Fail("http: body and json are both given; give one of them")
    sent_headers = dict(headers or {})
    sent_body = body.encode() if body is not None else None
    if json is not None:
        sent_body = msgspec.json.encode(json)
        sent_headers.setdefault("Content-Type", "application/json")
    deadline = time.monotonic() + timeout_s
    for _ in range(MAX_REDIRECTS + 1):
        result = _request_once(url, method, sent_headers, sent_body, deadline, private=ctx.permissions.http_private)
        location = result.headers.get("location") if result.status in REDIRECT_STATUSES else None
        if location is None:
            break
        ctx.log(f"{method} {_redact_url(url)}: {result.status}, on to {location[:200]}")
        new_url = urljoin(url, location)
        method, sent_headers, sent_body, url = _build_redirect(result, method, sent_headers, sent_body, new_url)
    else:
        raise Fail(f"http: more than {MAX_REDIRECTS} redirects, the last one to {_redact_url(url)}")
    ctx.log(f"{method} {_redact_url(url)}: {result.status}")
    if result.status not in expect if expect is not None else not 200 <= result.status < 300:
        raise UnexpectedStatus(f"{method} {_redact_url(url)} answered {result.status}: {result.body[:200]}")
    return result


def _request_once(
    url: str, method: str, headers: dict[str, str], body: bytes | None, deadline: float, *, private: bool
) -> HttpResult:
    parts = _parse_url(url)
    address = _resolve_address(parts, private=private)
    connection = _build_connection(parts, address, deadline)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = _read_body(response, connection, deadline)
        response_headers = {name.lower(): value for name, value in response.getheaders()}
        return HttpResult(response.status, _redact_url(url), response_headers, text)
    except http.client.HTTPException as error:
        raise OSError(f"{_redact_url(url)} gave no proper answer: {type(error).__name__} {error}") from error
    except ValueError as error:
        raise Fail(f"http: the request to {_redact_url(url)} cannot be made: {error}") from None
    finally:
        connection.close()


def _read_body(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float) -> str:
    body = b""
    # Part by part, each with the time that is left: a timeout of the socket alone counts from the last byte, so a
    # server that sends a byte now and then could hold the request for hours.
    while len(body) < MAX_BODY:
        if connection.sock is not None:
            connection.sock.settimeout(_check_deadline(deadline))
        part = response.read1(MAX_BODY - len(body))
        if not part:
            break
        body += part
    return body.decode(response.headers.get_content_charset("utf-8"), errors="replace")


def _check_deadline(deadline: float) -> float:
    """Return the seconds that are left. Raises TimeoutError when none are."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the time for the request is over")
    return left_s


def _parse_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Fail(f"http: url {url!r:.200} cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise Fail(f"http: url {_redact_url(url)!r} is not allowed: it must begin with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise Fail(f"http: url {_redact_url(url)!r} has a user or password; give an Authorization header")
    return parts


def _resolve_address(parts: SplitResult, *, private: bool) -> tuple[str, int]:
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    # All addresses are checked though the first one is used: a name with a private one among them is not trusted.
    for address in addresses:
        if not private and not is_public(ipaddress.ip_address(address.partition("%")[0])):
            raise Fail(
                f"http: {host} is {address}, which is no public address; "
                "a worker started with --allow-http-private may reach it"
            )
    return addresses[0], port


def is_public(address: Address) -> bool:
    """Return whether an address is on the public Internet. IPv4 addresses that are wrapped in IPv6 are unwrapped."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if wrapped is None and address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(wrapped)
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class _PlainConnection(http.client.HTTPConnection):
    """A connection to the address that was checked; the name is not resolved again."""

    def __init__(self, parts: SplitResult, address: tuple[str, int], timeout: float) -> None:
        super().__init__(parts.hostname or "", address[1], timeout=timeout)
        self._address = address

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.create_connection(self._address, self.timeout)


class _TlsConnection(_PlainConnection):
    """A connection with TLS. The certificate is checked against the name, not the address."""

    default_port = 443

    def connect(self) -> None:
        """Open the socket and make the TLS handshake."""
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _build_connection(parts: SplitResult, address: tuple[str, int], deadline: float) -> http.client.HTTPConnection:
    kind = _TlsConnection if parts.scheme == "https" else _PlainConnection
    return kind(parts, address, _check_deadline(deadline))


def _build_redirect(
    result: HttpResult, method: str, headers: dict[str, str], body: bytes | None, url: str
) -> tuple[str, dict[str, str], bytes | None, str]:
    old, new = urlsplit(result.url), urlsplit(url)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        # The caller gave the secrets for the first host; another one must not receive them.
        headers = {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
    if result.status == 303 or (result.status in (301, 302) and method == "POST"):
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        return "HEAD" if method == "HEAD" else "GET", headers, None, url
    return method, headers, body, url


def _redact_url(url: str) -> str:
    # For logs and errors: without a user and password, which may stand in it by mistake, and cut.
    scheme, separator, rest = url.partition("://")
    host = rest.partition("/")[0]
    return f"{scheme}{separator}{rest.replace(host, host.rpartition('@')[2], 1)}"[:300]
