"""Findings of `doctor`: each names the value and, when something is wrong, the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

MIN_VERSION = (6, 2)
FULL, NEARLY_FULL = 0.9, 0.75
MAX_CLOCK_OFFSET_MS = 1_000
_LOG_HINT = "look at the server's log and at the free space of its disk"


class Level(StrEnum):
    """Severity of a finding: a warning needs a decision by the operator, a fault breaks a promise."""

    FINE = "fine"
    WARNING = "warning"
    FAULT = "fault"


class Finding(msgspec.Struct, frozen=True):
    """The result of one check: its name, the value that was found, and a remedy unless it is fine.

    node: the node of a cluster that it is about, empty without a cluster.
    """

    check: str
    level: Level
    value: str
    remedy: str = ""
    node: str = ""


def at_node(node: str, findings: Iterable[Finding]) -> list[Finding]:
    """Return the same findings, attributed to a node of a cluster."""
    return [msgspec.structs.replace(finding, node=node) for finding in findings]


def fine(check: str, value: str) -> Finding:
    """Build a finding that needs no action."""
    return Finding(check, Level.FINE, value)


def warning(check: str, value: str, remedy: str) -> Finding:
    """Build a finding that the operator should decide about."""
    return Finding(check, Level.WARNING, value, remedy)


def fault(check: str, value: str, remedy: str) -> Finding:
    """Build a finding about a promise that is broken, or will be."""
    return Finding(check, Level.FAULT, value, remedy)


def check_server(info: Mapping[str, Any], offset_ms: int) -> list[Finding]:
    """Check a server by its `INFO` and by the offset of its clock in milliseconds."""
    checks = (_check_version, _check_role, _check_eviction, _check_memory, _check_persistence, _check_replicas)
    return [finding for check in checks for finding in check(info)] + [_check_clock(offset_ms)]


def check_replica(info: Mapping[str, Any], offset_ms: int) -> list[Finding]:
    """Check a replica of a cluster, which may have to take its primary's place at any time."""
    checks = (_check_version, _check_replication, _check_eviction, _check_memory, _check_persistence)
    return [finding for check in checks for finding in check(info)] + [_check_clock(offset_ms)]


def _check_version(info: Mapping[str, Any]) -> Iterator[Finding]:
    name = str(info.get("server_name", "redis"))
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    shown = f"{name} {version}"
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < MIN_VERSION:
        yield fault("version", shown, "Redis 6.2, 7, 8 or Valkey is needed: older ones lack commands that scripts use")
    else:
        yield fine("version", shown)


def _check_role(info: Mapping[str, Any]) -> Iterator[Finding]:
    if info.get("role") == "slave":
        yield fault("role", "replica", "nothing can be written here: let the URL name the master, or the Sentinels")
    else:
        yield fine("role", str(info.get("role", "master")))


def _check_replication(info: Mapping[str, Any]) -> Iterator[Finding]:
    if info.get("master_link_status") == "up":
        yield fine("role", "replica, in step")
    else:
        remedy = "what it does not have is lost when it takes its primary's place: look at its log, and at the network"
        yield warning("role", "replica, not in step with its primary", remedy)


def _check_eviction(info: Mapping[str, Any]) -> Iterator[Finding]:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        yield fine("eviction", policy)
    else:
        remedy = "records may be dropped at the memory limit: CONFIG SET maxmemory-policy noeviction"
        yield fault("eviction", policy, remedy)


def _check_memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0) or info.get("total_system_memory", 0))
    share = used / most if most else 0.0
    shown = f"{used / 2**20:.0f} MiB of {most / 2**20:.0f} MiB, {share:.0%}"
    remedy = "at the limit enqueueing is refused: raise maxmemory, shorten retentions, or purge what is not needed"
    if share >= NEARLY_FULL:
        yield (fault if share >= FULL else warning)("memory", shown, remedy)
    else:
        yield fine("memory", shown)


def _check_persistence(info: Mapping[str, Any]) -> Iterator[Finding]:
    appends = bool(int(info.get("aof_enabled", 0)))
    if appends and info.get("aof_last_write_status", "ok") != "ok":
        yield fault("persistence", "the last append failed", _LOG_HINT)
    elif appends:
        yield fine("persistence", "appendonly yes")
    elif info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield fault("persistence", "the last snapshot failed", _LOG_HINT)
    else:
        yield warning(
            "persistence",
            "appendonly no",
            "a restart of the server loses all since its last snapshot, or everything: CONFIG SET appendonly yes, and "
            "write it into its configuration",
        )


def _check_replicas(info: Mapping[str, Any]) -> Iterator[Finding]:
    count = int(info.get("connected_slaves", 0))
    if count and "min_slaves_good_slaves" not in info:
        yield warning(
            "replicas",
            f"{count}, and min-replicas-to-write is 0",
            "a master that is cut off goes on acknowledging what a failover will discard: CONFIG SET "
            "min-replicas-to-write 1 and min-replicas-max-lag 10, see docs/guarantees.md",
        )
    elif count:
        yield fine("replicas", f"{count}, {info['min_slaves_good_slaves']} of them close enough")


def _check_clock(offset_ms: int) -> Finding:
    shown = f"{offset_ms} ms ahead of this machine"
    if abs(offset_ms) < MAX_CLOCK_OFFSET_MS:
        return fine("clock", shown)
    return warning("clock", shown, "the server's time counts: let both follow the same time source (NTP)")
