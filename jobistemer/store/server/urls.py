"""URLs of servers: checked when they are given, and shown without their secrets."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from jobistemer.core.checks import suggest
from jobistemer.core.errors import Misconfigured
from jobistemer.core.safe_text import remember_secret

DEFAULT_URL = "redis://localhost:6379/0"
MIN_TIMEOUT_S = 3
"""The shortest timeout, in seconds: blocking reads last two, and a client that waits for less would break them off."""

SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
CLUSTER_SCHEMES: Final = ("redis+cluster", "rediss+cluster")
SCHEMES: Final = ("redis", "rediss", "unix", *SENTINEL_SCHEMES, *CLUSTER_SCHEMES, "fake")
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_REQUIRED: Final = ("none", "optional", "required")
_OPTIONS: Final = (
    *("db", "username", "password", "sentinel_username", "sentinel_password"),
    *("socket_timeout", "socket_connect_timeout", "health_check_interval", "max_connections", "client_name"),
    *(*_FILES, "ssl_ca_path", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers"),
)
_ENCODE = "in a name or a password / ? # @ : [ ] and % are written %2F %3F %23 %40 %3A %5B %5D and %25"


def redact_url(url: str) -> str:
    """Return the URL with its passwords hidden, for logs and messages. The URL need not be one that can be used."""
    # Up to the last @: a password that was not encoded may hold one itself. Without an @ it stands in the port's place.
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    hidden = re.sub(r"(://[^@:/?\[]*):(?!\d{1,5}([,/?]|$)|\*)[^@,/?]*(?![^/?]*@)", r"\1:***", hidden)
    return re.sub(r"([?&])([^=&]*)=([^&#]*)", _redact_option, hidden)


def _redact_option(found: re.Match[str]) -> str:
    separator, name, value = found.groups()
    shown = value if name in _OPTIONS and "password" not in name else "***"
    return f"{separator}{name}={shown}"


def check_url(url: str) -> SplitResult:
    """Check a URL and return its parts. Raises Misconfigured, with a message that shows no secret."""
    parts = _split(url)
    if parts.scheme not in SCHEMES or "://" not in url:
        if "://" not in url:
            # Shown only when it is plainly an address: without a scheme no rule says which part is a password.
            plain = re.fullmatch(r"[\w.-]+(:\d{1,5})?(/\d*)?", url)
            raise Misconfigured(f"the URL of the server has no scheme; write redis://{url if plain else '…'}")
        raise Misconfigured(f"URL {redact_url(url)!r} has scheme {parts.scheme!r}; allowed are {', '.join(SCHEMES)}")
    if parts.scheme == "fake":
        return parts
    if parts.scheme not in (*SENTINEL_SCHEMES, *CLUSTER_SCHEMES, "unix"):
        _check_location(parts)
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    _check_options(options)
    # From here on they are hidden wherever they stand: in the trace of a failing connection, in a handler's exception.
    for secret in (parts.password, *(value for name, value in options.items() if "password" in name)):
        remember_secret(secret)
        remember_secret(unquote(secret or ""))
    return parts


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # Nothing of it is shown: brackets and letters such as ℀ are refused where they stand, also in a password.
        raise Misconfigured(
            "the URL of the server cannot be read: [ and ] stand around an IPv6 address only, and letters outside of "
            f"ASCII are written as their UTF-8 bytes; {_ENCODE}"
        ) from None


def parse_sentinels(parts: SplitResult) -> tuple[list[tuple[str, int]], str, str]:
    """Return the Sentinels, the service, and the number of the database. Raises Misconfigured."""
    hosts, (service, _, db) = parts.netloc.rpartition("@")[2], parts.path.strip("/").partition("/")
    nodes = [_parse_node(each, "26379", "Sentinels") for each in hosts.split(",")]
    if not service or (db and not db.isdecimal()) or not all(host for host, _ in nodes):
        raise Misconfigured(
            f"URL {redact_url(parts.geturl())!r} must look like {parts.scheme}://host:26379,host2:26379/service/0"
        )
    return nodes, service, db or "0"


def parse_nodes(parts: SplitResult) -> list[tuple[str, int]]:
    """Return the nodes of a cluster that are asked first. Raises Misconfigured."""
    nodes = [_parse_node(each, "6379", "cluster") for each in parts.netloc.rpartition("@")[2].split(",")]
    if parts.path.strip("/") not in ("", "0") or not all(host for host, _ in nodes):
        raise Misconfigured(
            f"URL {redact_url(parts.geturl())!r} must look like {parts.scheme}://host:7000,host2:7000; a cluster has "
            "database 0 only"
        )
    return nodes


def _parse_node(text: str, default: str, what: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text and not text.endswith("]") else (text, "", default)
    if not port.isdecimal():
        # Not shown: it may be the part of a password behind its first @.
        raise Misconfigured(f"the URL of the {what} has a port that is no number; {_ENCODE}")
    return host.strip("[]"), int(port)


def _check_location(parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:
        # The URL is not shown: the text in place of the port is often a part of a password.
        raise Misconfigured(f"the {parts.scheme}:// URL has a port that is no number; {_ENCODE}") from None
    if not re.fullmatch(r"/?\d*", parts.path):
        raise Misconfigured(
            f"URL {redact_url(parts.geturl())!r}: what stands after the host is no number of a database, such as 0; "
            f"{_ENCODE}"
        )


def _check_certificates(options: Mapping[str, str]) -> None:
    """Read the files as each connection will. Raises Misconfigured: a file that cannot be read is no outage."""
    authorities, certificate, key = (options.get(name) for name in _FILES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if authorities:
            context.load_verify_locations(authorities)
    except (ssl.SSLError, OSError) as error:
        said = f"ssl_ca_certs={authorities}, which has no certificate in PEM that can be read ({error})"
        raise Misconfigured(f"the URL of the server says {said}") from None
    if key and not certificate:
        raise Misconfigured(f"the URL of the server says ssl_keyfile={key}; give its certificate too, ssl_certfile=…")
    try:
        if certificate:
            # A function, for without a password OpenSSL would ask for it at the terminal, with each connection.
            context.load_cert_chain(certificate, key, lambda: options.get("ssl_password", ""))
    except (ssl.SSLError, OSError, ValueError) as error:
        given = f"ssl_certfile={certificate}" + (f" and ssl_keyfile={key}" if key else "")
        raise Misconfigured(
            f"the URL of the server says {given}, which cannot be used together ({error}): both are PEM, the key is "
            "that of the certificate, and ssl_password is its password when it has one"
        ) from None


def _check_options(options: Mapping[str, str]) -> None:
    for name, value in options.items():
        if name not in _OPTIONS:
            meant = suggest(name, _OPTIONS) or f"allowed are {', '.join(_OPTIONS)}"
            raise Misconfigured(f"the URL of the server has an option {name!r}; {meant}")
        if name in _FILES and not Path(value).is_file():
            raise Misconfigured(f"the URL of the server says {name}={value}, but there is no such file")
    # A process that names none makes no context: OpenSSL begins with it, half a megabyte.
    if any(options.get(name) for name in _FILES):
        _check_certificates(options)
    if options.get("ssl_cert_reqs", "none") not in _REQUIRED:
        raise Misconfigured(
            f"the URL of the server says ssl_cert_reqs={options['ssl_cert_reqs']}; allowed are {', '.join(_REQUIRED)}"
        )
    timeout = options.get("socket_timeout", str(MIN_TIMEOUT_S))
    if not re.fullmatch(r"\d+(\.\d+)?", timeout) or float(timeout) < MIN_TIMEOUT_S:
        raise Misconfigured(
            f"the URL of the server says socket_timeout={timeout}; allowed are {MIN_TIMEOUT_S} s and more, because "
            "workers wait for new work for 2 s at a time"
        )
