"""The addresses that the task `http` may reach. A name is resolved once, and the checked address is connected to."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from typing import Any

from jobistemer.core.handlers.control_errors import Fail

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The addresses that are routed on the public Internet. All others are refused: among them are forms that wrap IPv4
(`::127.0.0.1`, the NAT64 prefix of a site, 64:ff9b:1::/48), and old site-local addresses."""
_REFUSED = tuple(
    ipaddress.ip_network(each)
    for each in (
        # Services of clouds that tell secrets to who may reach them, at addresses that look public: Azure, Oracle.
        *("168.63.129.16/32", "192.0.0.0/24"),
        # What the registry of special addresses says, since older interpreters know an older one.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        *("2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "3fff::/20"),
    )
)
MAX_NAME = 253


def encode_host(host: str) -> str:
    """Return a host as it goes to a resolver, in ASCII. Raises Fail for what is neither a name nor an address."""
    if ":" in host:
        return host
    if len(host) > MAX_NAME:
        raise Fail(f"http: host {host!r:.120} is no name: it is longer than {MAX_NAME} characters")
    try:
        # The last dot is the root, and none of the labels.
        return host.removesuffix(".").encode("idna").decode("ascii").lower()
    except ValueError as error:
        raise Fail(f"http: host {host!r:.120} is no name: {error}") from None


def resolve_address(host: str, port: int, deadline: float, *, private: bool) -> tuple[str, int]:
    """Return the address of a host that may be reached. deadline: of the monotonic clock.

    Raises Fail for one that is not public unless private allows it, OSError for a name that is not found in time.
    """
    addresses = [str(each[4][0]) for each in _look_up(host, port, deadline)]
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
    if any(address.version == each.version and address in each for each in _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _look_up(host: str, port: int, deadline: float) -> list[tuple[Any, ...]]:
    # On a thread of its own: the resolver of the system takes no time-out, and may wait for half a minute.
    found: queue.SimpleQueue[list[tuple[Any, ...]] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            found.put(error)

    threading.Thread(target=ask, name="http look-up", daemon=True).start()
    try:
        answer = found.get(timeout=max(deadline - time.monotonic(), 0.001))
    except queue.Empty:
        raise TimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(answer, UnicodeError):
        raise Fail(f"http: host {host!r:.120} is no name: {answer}")
    if isinstance(answer, Exception):
        raise answer
    return answer
