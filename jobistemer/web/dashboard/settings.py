"""The settings of a dashboard, checked when it starts. Importable without the extra `jobistemer[dashboard]`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

from jobistemer.core.errors import Misconfigured

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
MIN_TOKEN_LENGTH: Final = 16


class DashboardSettings(NamedTuple):
    """The settings of one dashboard.

    read_only: refuse actions, and do not show their buttons. by: the name in audit lists and reasons, empty for the
    user of this process. token: required from every user, empty to require none. hosts: the names in the Host header
    that are accepted, empty for all. Without that check a site could make its own name resolve to 127.0.0.1 (DNS
    rebinding), and its scripts would reach a dashboard that listens on loopback only.
    """

    read_only: bool = False
    by: str = ""
    token: str = ""
    hosts: frozenset[str] = LOOPBACK


def build_settings(
    host: str, *, read_only: bool, by: str, token: str, names: tuple[str, ...], without_token: bool
) -> DashboardSettings:
    """Check and build the settings of a dashboard that listens on `host`.

    names: further names that are accepted in the Host header, such as that of a proxy. without_token: the network may
    use the dashboard without a token. Raises Misconfigured for a token that is too short, and for an address that other
    machines reach when neither a token nor `without_token` is given.
    """
    if token and len(token) < MIN_TOKEN_LENGTH:
        raise Misconfigured(
            f"the token of the dashboard has {len(token)} characters, {MIN_TOKEN_LENGTH} is the least: "
            'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
        )
    reachable = not _is_loopback(host)
    if reachable and not token and not without_token:
        raise Misconfigured(
            f"host {host!r} can be reached from other machines, and everybody who reaches the dashboard may pause, "
            "cancel and purge: set JOBISTEMER_DASHBOARD_TOKEN, or bind to 127.0.0.1 behind a proxy that authenticates "
            "users, or pass --no-token where everybody in the network may do that"
        )
    hosts = frozenset() if reachable and not names else LOOPBACK | {host, *(name.lower() for name in names)}
    return DashboardSettings(read_only, by, token, hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
