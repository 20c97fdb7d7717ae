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
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from jobistemer.contrib.app_protocol import TaskMaker
from jobistemer.contrib.http_addresses import encode_host, resolve_address
from jobistemer.core.builtin_tasks import HTTP_TASK
from jobistemer.core.handlers.context import Context
from jobistemer.core.handlers.control_errors import Fail
from jobistemer.core.safe_text import hide_secrets

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_BODY = 64 * 1024
"""The bytes of a response that are read and kept."""
MAX_REDIRECTS = 5
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
MAX_HEADERS = 16 * 1024
"""The characters of a response's headers that are kept."""
MAX_TIMEOUT_S = 86_400.0
_FOLLOWING_HEADERS = frozenset(
    (
        *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control"),
        *("content-encoding", "content-language", "content-type", "user-agent"),
    )
)
"""The headers that follow a redirect to another host. All others may be secrets, such as X-Api-Key."""


class HttpResult(msgspec.Struct, frozen=True):
    """The last response: status, headers with names in lower case, the beginning of the body as text.

    url: the address that sent it, after redirects.
    """

    status: int
    url: str
    headers: dict[str, str]
    body: str


class _Exchange(NamedTuple):
    result: HttpResult
    location: str | None
    """Where the response sends the client, if it is a redirect."""


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
    if not (math.isfinite(timeout_s) and 0 < timeout_s <= MAX_TIMEOUT_S):
        raise Fail(f"http: timeout_s is {timeout_s!r:.40}, it must be above 0 and up to {MAX_TIMEOUT_S:g} seconds")
    sent_headers = dict(headers or {})
    sent_body = _encode_body(body, json)
    if json is not None:
        sent_headers.setdefault("Content-Type", "application/json")
    deadline = time.monotonic() + timeout_s
    for _ in range(MAX_REDIRECTS + 1):
        result, location = _exchange(
            url, method, sent_headers, sent_body, deadline, private=ctx.permissions.http_private
        )
        if location is None:
            break
        ctx.log(f"{method} {_redact_url(url)}: {result.status}, on to {_redact_url(location)}")
        urls = url, _join_url(url, location)
        method, sent_headers, sent_body = _build_redirect(result.status, method, sent_headers, sent_body, urls)
        url = urls[1]
    else:
        raise Fail(f"http: more than {MAX_REDIRECTS} redirects, the last one to {_redact_url(url)}")
    ctx.log(f"{method} {_redact_url(url)}: {result.status}")
    if result.status not in expect if expect is not None else not 200 <= result.status < 300:
        raise UnexpectedStatus(f"{method} {_redact_url(url)} answered {result.status}: {result.body[:200]}")
    return result


def _encode_body(body: str | None, json: Any) -> bytes | None:
    if json is not None:
        if body is not None:
            raise Fail("http: body and json are both given; give one of them")
        return msgspec.json.encode(json)
    try:
        return body.encode() if body is not None else None
    except UnicodeEncodeError as error:
        raise Fail(f"http: body has a character that is no text at position {error.start}") from None


def _exchange(
    url: str, method: str, headers: dict[str, str], body: bytes | None, deadline: float, *, private: bool
) -> _Exchange:
    parts = _parse_url(url)
    host = encode_host(parts.hostname or "")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve_address(host, port, deadline, private=private)
    connected = socket.create_connection(address, _check_deadline(deadline))
    connection = http.client.HTTPConnection(host, port)
    try:
        with _cut_off_at(deadline, connected):
            connection.sock = connected
            if parts.scheme == "https":
                connection = http.client.HTTPSConnection(host, port)
                # The certificate is checked against the name, not the address.
                connection.sock = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
            # Never another socket than this one, which leads to the address that was checked.
            connection.auto_open = 0
            _send(connection, method, parts, headers, body)
            return _read_response(connection, url)
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{_redact_url(url)} gave no proper answer: {type(error).__name__} {error}") from error
    finally:
        connection.close()
        connected.close()


@contextmanager
def _cut_off_at(deadline: float, connected: socket.socket) -> Iterator[None]:
    """Cut a connection off at the deadline. Raises TimeoutError then.

    The time-out of a socket counts from the last byte, and a server that sends one now and then, of the handshake, the
    status, the headers, `100 Continue` or the body, could hold the request for hours.
    """
    over = threading.Event()
    # A second descriptor of the same connection: http.client closes its own when an answer says that it is the last.
    second = connected.dup()

    def cut_off() -> None:
        over.set()
        with suppress(OSError):
            second.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_check_deadline(deadline), cut_off)
    timer.daemon = True
    timer.start()
    error: Exception | None = None
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as raised:
        error = raised
    finally:
        timer.cancel()
        timer.join()
        second.close()
    if over.is_set() or isinstance(error, TimeoutError):
        # What was cut off looks like a broken connection, or like the end of the answer. The socket's own time-out is
        # the same deadline, and may come before the timer's thread.
        raise TimeoutError("the time for the request is over") from error
    if error is not None:
        raise error


def _send(
    connection: http.client.HTTPConnection, method: str, parts: SplitResult, headers: dict[str, str], body: bytes | None
) -> None:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path, body, headers)
    except (ValueError, http.client.InvalidURL) as error:
        raise Fail(f"http: the request to {_redact_url(parts.geturl())} cannot be made: {error}") from None


def _read_response(connection: http.client.HTTPConnection, url: str) -> _Exchange:
    response = connection.getresponse()
    body = response.read(MAX_BODY)
    result = HttpResult(response.status, _redact_url(url), _keep_headers(response), _decode_body(response, body))
    return _Exchange(result, response.getheader("Location") if response.status in REDIRECT_STATUSES else None)


def _keep_headers(response: http.client.HTTPResponse) -> dict[str, str]:
    kept, size = dict[str, str](), 0
    for name, value in response.getheaders():
        size += len(name) + len(value)
        if size > MAX_HEADERS:
            break
        kept[name.lower()] = value
    return kept


def _decode_body(response: http.client.HTTPResponse, body: bytes) -> str:
    # The request was answered: a charset that nobody knows, or that is no charset, must not have it sent again.
    with suppress(LookupError, ValueError):
        return body.decode(response.headers.get_content_charset("utf-8"), errors="replace")
    return body.decode("utf-8", errors="replace")


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


def _join_url(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise Fail(f"http: {_redact_url(url)} redirects to {_redact_url(location)!r}: {error}") from None


def _build_redirect(
    status: int, method: str, headers: dict[str, str], body: bytes | None, urls: tuple[str, str]
) -> tuple[str, dict[str, str], bytes | None]:
    old, new = map(urlsplit, urls)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        # The caller gave the secrets for the first host; another one must not receive them.
        headers = {name: value for name, value in headers.items() if name.lower() in _FOLLOWING_HEADERS}
    if status == 303 or (status in (301, 302) and method == "POST"):
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        return "HEAD" if method == "HEAD" else "GET", headers, None
    return method, headers, body


def _redact_url(url: str) -> str:
    # For logs and errors: without a user and password, which may stand in it by mistake, without tokens, and cut.
    scheme, separator, rest = url[:2000].partition("://")
    host = rest.partition("/")[0]
    return hide_secrets(f"{scheme}{separator}{rest.replace(host, host.rpartition('@')[2], 1)}")[:300]
