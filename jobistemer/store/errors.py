"""Errors of the server, translated into errors of this package that say what to do.

Processes try for ever after NotConnected, and after ServerRefused as well: a certificate that is being replaced, a user
whose rule is being changed and a replica that is about to become the master all pass, and no process should end because
of them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import redis
from redis.exceptions import MovedError

from jobistemer.core.errors import JobistemerError, NotConnected, ServerRefused
from jobistemer.store.scripts import ScriptCall
from jobistemer.store.server.cluster_client import REDIRECTION_ERRORS
from jobistemer.store.server.deadline import seconds_left
from jobistemer.store.server.pool import MAX_CONNECTIONS, PoolExhausted
from jobistemer.store.server.urls import CLUSTER_SCHEMES


class Remedy(NamedTuple):
    """The advice for a failure whose text matches the expression `said`."""

    said: str
    text: str


_CONNECTION_REMEDIES: Final = (
    Remedy(
        r"Hostname mismatch|IP address mismatch|doesn't match",
        "its certificate is for another name: name the server in the URL as its certificate does, or give it a "
        "certificate for this name (ssl_check_hostname=false in the URL would accept any)",
    ),
    Remedy(
        r"CERTIFICATE_VERIFY_FAILED",
        "its certificate is not signed by an authority that is trusted here, or is out of date: name the file of the "
        "authority in the URL, rediss://…?ssl_ca_certs=/path/to/ca.crt",
    ),
    Remedy(
        r"^rediss.*(certificate required|handshake failure|unknown ca|writing to socket|reset by peer|closed by)",
        "it ends the connection after the TLS handshake. Most often it asks for a client certificate that it trusts: "
        "name one and its key in the URL, "
        "rediss://…?ssl_certfile=/path/to/client.crt&ssl_keyfile=/path/to/client.key",
    ),
    Remedy(
        r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|record layer failure|^rediss.*Timeout connecting",
        "perhaps it does not speak TLS at this port: use the port that it has for TLS (`tls-port`), or redis:// for "
        "plain text",
    ),
    Remedy(
        r"No master found.*(AuthenticationError|NOAUTH|WRONGPASS|NOPERM)",
        "a Sentinel refuses the login: give its password as `sentinel_password` (and `sentinel_username`) in the URL; "
        "what stands before the @ is for the servers",
    ),
    Remedy(
        r"No master found",
        "none of the Sentinels names a master: is the service in the URL spelled as in their `sentinel monitor`, and "
        "do they listen at these ports? During a failover this passes",
    ),
    Remedy(
        r"closed by server|reset by peer",
        "it has ended the connection: it is stopping, or this port speaks TLS, and then the URL begins with rediss:// "
        "instead of redis://",
    ),
    Remedy(r"loading the dataset", "it is reading its data from the disk; this passes"),
)
_START_A_SERVER: Final = (
    "Start one (`redis-server`, `docker compose up`, or `jobistemer dev` for an embedded one), or set JOBISTEMER_URL "
    "to where one is"
)
_SLOT_IS_MOVING: Final = (
    "its slot is being moved, or its node is lost and no replica has taken over: what was to be done was not done, and "
    "can be tried again"
)
_USE_CLUSTER_URL: Final = (
    "it is one node of a cluster: the URL begins with redis+cluster://, or rediss+cluster:// for TLS"
)
_ROLE_PLACEHOLDER: Final = "ROLE"
_NO_PERMISSION: Final = r"NOPERM|no permissions|user executing the script|ACL failure"
_REFUSAL_REMEDIES: Final = (
    Remedy(r"READONLY", "it is a replica: the URL must name the master, or the Sentinels (redis+sentinel://…)"),
    Remedy(
        r"unknown command",
        "it knows less than Redis 6.2; or it is a Sentinel: redis+sentinel://host:26379,host2:26379/service/0",
    ),
    Remedy(r"NOREPLICAS", "`min-replicas-to-write` holds writes back until enough replicas are there"),
    Remedy(r"MISCONF", "it cannot write to its disk: look at its log and at the free space"),
    Remedy(r"OOM|maxmemory", "it is at its memory limit (`maxmemory`): raise it, or purge what is not needed"),
    Remedy(
        _NO_PERMISSION,
        f"its user lacks a permission; `jobistemer acl {_ROLE_PLACEHOLDER}` prints the rule that a role needs",
    ),
    Remedy(
        r"NOSCRIPT|No matching script",
        "it does not know the script, and this user may not load it: start a ticker or a worker of this version, which "
        "loads it",
    ),
    Remedy(
        r"NOAUTH|Authentication required|called without any password|HELLO must be called",
        "it asks for a login: user and password stand in the URL before the host, redis://user:…@host",
    ),
    Remedy(
        r"WRONGPASS|invalid password|invalid username-password",
        "user or password is wrong, or the user is off; in a URL / ? # @ : and % are written %2F %3F %23 %40 %3A %25",
    ),
)


def translate_error(error: redis.RedisError, address: str, call: ScriptCall | None = None) -> JobistemerError:
    """Return the error of this package for a failure of redis-py; `call` is the call that failed."""
    said = str(error).strip().rstrip(".")
    # For redis-py a wrong password is a ConnectionError.
    refused = isinstance(error, redis.AuthenticationError)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError) and (local := _explain_local(error, said)):
        return NotConnected(f"{local} (server {address})")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError) and not refused:
        remedy = _find_remedy(_CONNECTION_REMEDIES, f"{address} {said}") or _START_A_SERVER
        return NotConnected(
            f"no Redis or Valkey server answers at {address} ({_shorten(said)}). {_to_sentence(remedy)}"
        )
    if isinstance(error, MovedError) and not address.startswith(CLUSTER_SCHEMES):
        return ServerRefused(
            f"the server at {address} refused a command: MOVED {said}. {_to_sentence(_USE_CLUSTER_URL)}"
        )
    if isinstance(error, REDIRECTION_ERRORS):
        now = f"the cluster at {address} does not serve this shard now"
        return NotConnected(f"{now} ({said}). {_to_sentence(_SLOT_IS_MOVING)}")
    remedy = _find_remedy(_REFUSAL_REMEDIES, said).replace(_ROLE_PLACEHOLDER, _name_roles(call))
    advice = f". {_to_sentence(remedy)}" if remedy else ""
    return ServerRefused(f"the server at {address} refused a command: {said}{advice}")


def _explain_local(error: redis.RedisError, said: str) -> str:
    """Return what is wrong in this process or with its number of connections; empty when the server is away."""
    if isinstance(error, PoolExhausted):
        return f"{said}; raise max_connections in the URL of the server ({MAX_CONNECTIONS} unless it says more)"
    if "Too many open files" in said:
        return (
            "this process has no file descriptor left for a connection; raise its limit (`ulimit -n`), or find the leak"
        )
    if "max number of clients reached" in said:
        return (
            "the server has as many clients as it allows: raise `maxclients` there, or end clients that are not needed"
        )
    if isinstance(error, redis.TimeoutError) and seconds_left() <= 0:
        return "the server has not answered within the time given; whether it has executed the call is not known"
    return ""


def is_wrong_type(answer: object) -> bool:
    """Return whether an answer says that a key has another type than the command needs."""
    return isinstance(answer, redis.ResponseError) and "WRONGTYPE" in str(answer)


def is_unreadable(answer: object) -> bool:
    """Return whether an answer says that a key has another type than the command needs, or is not there."""
    return is_wrong_type(answer) or (isinstance(answer, redis.ResponseError) and str(answer) == "no such key")


def _find_remedy(table: tuple[Remedy, ...], said: str) -> str:
    return next((each.text for each in table if re.search(each.said, said, re.IGNORECASE)), "")


def _name_roles(call: ScriptCall | None) -> str:
    """Return the roles that may run the script that was refused."""
    from jobistemer.store.acl import find_roles  # noqa: PLC0415 - nothing else here needs the rules of all roles

    return " or ".join(find_roles(call.script.name) if call else []) or _ROLE_PLACEHOLDER


def _shorten(said: str) -> str:
    # redis-py appends the representation of each Sentinel's client.
    return said.partition(" : ")[0].rstrip(".") if said.startswith("No master found") else said


def _to_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
