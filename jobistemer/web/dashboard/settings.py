"""What a dashboard is told when it starts."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple

from jobistemer.core.errors import Misconfigured

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
MIN_TOKEN_LENGTH: Final = 16


class DashboardSettings(NamedTuple):
    """How one dashboard behaves.

    read_only: actions are refused and not shown. by: who acts, for audit lists and reasons; empty for the user of this
    process. token: what everybody who wants in has to know, empty for nothing. hosts: the names that it answers to,
    empty for all: whoever makes a browser's DNS lie could otherwise talk to a dashboard that is on loopback only.
    """

    read_only: bool = False
    by: str = ""
    token: str = ""
    hosts: frozenset[str] = LOOPBACK


def build_settings(
    host: str, *, read_only: bool, by: str, token: str, names: tuple[str, ...], without_token: bool
) -> DashboardSettings:
    """The settings of a dashboard that listens on `host`. Raises Misconfigured for what would be open to everybody.

    names: those that a proxy in front calls it by. without_token: others may come in without a token.
    """
    if token and len(token) < MIN_TOKEN_LENGTH:
        raise Misconfigured(
            f"the token of the dashboard has {len(token)} characters, {MIN_TOKEN_LENGTH} is the least: "
            'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
        )
    reachable = not _is_loopback(host)
    if reachable and not token and not without_token:
        raise Misconfigured(
            f"host {host!r} can be reached from other machines, and whoever reaches a dashboard may pause, cancel and "
            "purge: set JOBISTEMER_DASHBOARD_TOKEN, or bind it to 127.0.0.1 behind a proxy that asks who comes, "
            "or say --no-token where everybody in the network may do that"
        )
    hosts = frozenset() if reachable and not names else LOOPBACK | {host, *(name.lower() for name in names)}
    return DashboardSettings(read_only, by, token, hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
