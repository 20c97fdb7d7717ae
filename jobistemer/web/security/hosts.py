"""The Host header: whether it is the name of a host at all, and whether this dashboard answers to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple

_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?", re.ASCII
)


class Host(NamedTuple):
    """The host that a request names, in lower case. port: empty for that of the scheme."""

    name: str
    port: str


def read_host(headers: Iterable[tuple[bytes, bytes]]) -> Host | None:
    """Read the Host header of a request; returns None where there is none, several, or one that names no host.

    What is no host may hold a path: frameworks build addresses from it, and judge another path than they serve.
    """
    values = [value for name, value in headers if name.lower() == b"host"]
    found = _HOST.fullmatch(values[0].decode("latin-1").lower()) if len(values) == 1 else None
    return Host(found["name"], found["port"] or "") if found else None


def is_known_host(host: Host, names: frozenset[str]) -> bool:
    """Return whether a host is `localhost`, an address or one of `names`.

    An address is always known: only a name can be made to lead to another address after its page was loaded.
    """
    if host.name == "localhost" or host.name in names:
        return True
    try:
        ip_address(host.name.strip("[]"))
    except ValueError:
        return False
    return True
