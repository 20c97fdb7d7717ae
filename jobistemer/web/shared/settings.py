"""The settings of a dashboard, checked when it starts. Importable without the extra `jobistemer[dashboard]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple

from jobistemer.core.checks import is_encodable
from jobistemer.core.errors import Misconfigured

USER_SCOPE: Final = "jobistemer.user"
"""The key of a request's scope under which the application that the dashboard is mounted in names the user."""
MIN_TOKEN_LENGTH: Final = 16
_HOST_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?", re.ASCII)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_ROOT_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)


class DashboardSettings(NamedTuple):
    """The settings of one dashboard.

    read_only: refuse actions, and do not show their buttons. by: the name in audit lists and reasons, empty for the
    user of this process. token: required from every user, empty to require none. hosts: the names in the Host header
    that are accepted beside `localhost` and addresses. Without that check a site could make its own name resolve to
    127.0.0.1 (DNS rebinding), and its scripts would reach a dashboard that listens on loopback only.
    user_header: the header in which a proxy names the user; actions without it are refused then. root_path: the path
    under which a proxy shows the dashboard.
    """

    read_only: bool = False
    by: str = ""
    token: str = ""
    hosts: frozenset[str] = frozenset()
    user_header: str = ""
    root_path: str = ""


def build_settings(
    host: str,
    *,
    read_only: bool,
    by: str,
    token: str,
    names: tuple[str, ...],
    without_token: bool,
    user_header: str = "",
    root_path: str = "",
) -> DashboardSettings:
    """Check and build the settings of a dashboard that listens on `host`.

    names: further names that are accepted in the Host header, such as that of a proxy. without_token: the network may
    use the dashboard without a token. Raises Misconfigured for a token that is too short, for a name, a header or a
    path that cannot be one, and for an address that other machines reach when neither a token nor `without_token` is
    given.
    """
    if not (_is_loopback(host) or token or without_token):
        raise Misconfigured(
            f"host {host!r} can be reached from other machines, and everybody who reaches the dashboard may pause, "
            "cancel and purge: set JOBISTEMER_DASHBOARD_TOKEN, or bind to 127.0.0.1 behind a proxy that authenticates "
            "users, or pass --no-token where everybody in the network may do that"
        )
    if root_path and not _ROOT_PATH.fullmatch(root_path.rstrip("/")):
        raise Misconfigured(f"root path is {root_path!r}; allowed is a path such as /admin/jobs")
    listened = () if _is_address(host) else (host,)
    settings = build_mounted_settings(
        (*listened, *names), read_only=read_only, by=by, user_header=user_header, token=token
    )
    return settings._replace(root_path=root_path.rstrip("/"))


def build_mounted_settings(
    hosts: Iterable[str], *, read_only: bool, by: str, user_header: str, token: str
) -> DashboardSettings:
    """Check and build the settings of a dashboard inside an application. Raises Misconfigured."""
    token = check_token(token) if token else ""
    if user_header and not _HEADER_NAME.fullmatch(user_header):
        raise Misconfigured(f"user header is {user_header!r}; allowed is the name of a header: X-Forwarded-User")
    if isinstance(hosts, str):
        raise Misconfigured(f"hosts are {hosts!r}; allowed are several names: hosts=[{hosts!r}]")
    names = frozenset(name.lower().rstrip(".") for name in hosts)
    for name in sorted(names):
        if not _HOST_NAME.fullmatch(name):
            raise Misconfigured(f"host name is {name!r}; allowed is a name without scheme and port: jobs.example")
    return DashboardSettings(read_only, by, token, names, user_header)


def check_token(token: str) -> str:
    """Return a token that is long enough. Raises Misconfigured, with a message that does not show it."""
    if not isinstance(token, str) or not is_encodable(token):
        raise Misconfigured("the token of the dashboard is no text in UTF-8")
    if len(token) < MIN_TOKEN_LENGTH:
        raise Misconfigured(
            f"the token of the dashboard has {len(token)} characters, {MIN_TOKEN_LENGTH} is the least: "
            'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
