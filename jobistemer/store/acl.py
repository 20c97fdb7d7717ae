"""The permissions of each role on the server: the least that its code needs, as rules for `ACL SETUSER`.

The commands and keys of a script are read from its text and its header, so a rule cannot fall behind a script. Commands
that a role sends without a script are listed here. Redis checks each command inside a script against the rule of the
user, so a rule that allows `EVALSHA` allows nothing else by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from jobistemer.core.checks import check_name
from jobistemer.core.errors import InvalidInput
from jobistemer.core.runs.transaction import ALLOWED_COMMANDS
from jobistemer.store.scripts import script


class Role(NamedTuple):
    """A role: the scripts it runs, the commands it sends without a script, and the kinds of keys that these touch."""

    name: str
    description: str
    scripts: tuple[str, ...]
    commands: tuple[str, ...]
    kinds: tuple[str, ...]


# The last two on a cluster only, where slots move.
_CONNECT_COMMANDS: Final = "ping select client|setname time hget cluster|slots asking"
_SCRIPT_COMMANDS: Final = "evalsha eval script|load hsetnx"
_READ_COMMANDS: Final = "hgetall hkeys hmget lrange"
_END_SCRIPTS: Final = (
    "commit_run commit_task count_member count_outcome end_occurrence expire_group halt_group "
    "seal_group enqueue_on_dead"
)
_CANCEL_SCRIPTS: Final = f"{_END_SCRIPTS} admit_waiting_run release_limits request_cancel cancel_queued halt_occurrence"
_ENQUEUE_SCRIPTS: Final = "enqueue_run enqueue_runs delay_run debounce_run"
_RECORD_KINDS: Final = "run attempt log"

PRODUCER: Final = Role(
    "producer",
    "enqueues, and waits for results",
    tuple(_ENQUEUE_SCRIPTS.split()),
    tuple(f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS}".split()),
    tuple(f"{_RECORD_KINDS} occurrence".split()),
)
TICKER: Final = Role(
    "ticker",
    "decides what is due; needs no other role beside it",
    tuple(
        f"{_CANCEL_SCRIPTS} beat_ticker claim_occurrence claim_occurrences fire_occurrence "
        "start_occurrence promote_runs "
        "forget_worker forget_occurrence advance_backfill postpone_job register_job raise_alert".split()
    ),
    tuple(
        f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS} subscribe unsubscribe hexists "
        "hlen del smembers xrange xinfo|consumers "
        "zadd zcard zmscore zrange zrangebyscore zrem zremrangebyscore".split()
    ),
    tuple(f"{_RECORD_KINDS} stream results backfill".split()),
)
WORKER: Final = Role(
    "worker",
    "executes, takes over from the dead, and enqueues what its handlers ask for",
    tuple(
        f"{_END_SCRIPTS} {_ENQUEUE_SCRIPTS} admit_waiting_run release_limits request_cancel "
        "commit_occurrences commit_successes "
        "commit_transaction retry_run interrupt_run add_children admit_run beat_worker forget_worker free_unique "
        "hold_run claim_first_start "
        "open_streams start_attempt write_attempt_log".split()
    ),
    tuple(
        f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS} client|id client|unblock exists "
        "hexists pexpire xack xdel xpending "
        f"xrange xreadgroup zrange zrevrangebyscore {' '.join(ALLOWED_COMMANDS)}".lower().split()
    ),
    tuple(f"{_RECORD_KINDS} app job history versions limits held waiting".split()),
)
OPERATOR: Final = Role(
    "operator",
    "deploys and controls jobs, queues, runs and workers, and cancels: the command line",
    tuple(
        f"{_CANCEL_SCRIPTS} {_ENQUEUE_SCRIPTS} advance_backfill claim_occurrence command_worker fire_occurrence "
        "forget_occurrence record_change record_job_change pause_job postpone_job purge_dead register_job release_held "
        "remove_job "
        "replay_dead retry_ended resume_job start_backfill".split()
    ),
    tuple(
        f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS} info cluster|info cluster|nodes "
        "scan type pttl exists hexists hlen "
        "sadd smembers srem xinfo|groups xlen xpending xrange xrevrange zadd zcard zmscore zrange zrangebyscore zrem "
        "zremrangebyscore zrevrange zrevrangebyscore zscore".split()
    ),
    tuple(
        f"{_RECORD_KINDS} tickers ticker workers worker history live queued versions audit backfill "
        "holds changes parked limits "
        "held waiting rate promised paused closed streams stream results group dead due".split()
    ),
)
VIEWER: Final = Role(
    "viewer",
    "looks, and changes nothing: the command line's lists and reports, a read-only dashboard",
    (),
    tuple(
        f"{_CONNECT_COMMANDS} {_READ_COMMANDS} exists hexists hlen smembers xinfo|groups xlen "
        "xpending xrange xrevrange zcard zmscore "
        "zrange zrangebyscore zrevrange zrevrangebyscore zscore".split()
    ),
    tuple(
        f"{_RECORD_KINDS} job occurrence history live queued versions audit backfill chores streams "
        "stream delayed dead due "
        "paused closed limits held waiting holds changes parked group results workers worker tickers ticker "
        "expected".split()
    ),
)
ROLES: Final = {role.name: role for role in (PRODUCER, TICKER, WORKER, OPERATOR, VIEWER)}

_REDIS_CALL = re.compile(r"redis\.p?call\(\s*'([A-Za-z]+)'(?:\s*,\s*'([A-Z]+)')?")
# Their second word decides what they do, so only the word that is used is allowed.
_COMMANDS_WITH_SUBCOMMANDS = ("XGROUP", "XINFO")
# Keys that exist once in a shard; other kinds are followed by a name or an id.
_SINGLE_KINDS: Final = (
    "due delayed dead deadlines streams starts expected chores cancels paused closed limits holds changes"
)
_KINDS_WITHOUT_NAME: Final = frozenset(f"{_SINGLE_KINDS} workers tickers nothing wake".split())


def build_rule(roles: Iterable[str], namespace: str) -> list[str]:
    """Return the words that follow `ACL SETUSER name on >password` for a user with all these roles.

    Raises InvalidInput for an unknown role.
    """
    chosen = [_get_role(name) for name in roles]
    commands = sorted({command for role in chosen for command in _list_commands(role)})
    space = check_name("namespace", namespace)
    kinds = sorted({kind for role in chosen for kind in list_key_kinds(role)})
    keys = [f"~{{{space}:*}}:{kind if kind in _KINDS_WITHOUT_NAME else f'{kind}:*'}" for kind in kinds]
    channels = [f"&{{{space}:*}}:wake"] if any(role.scripts for role in chosen) else []
    allowed = [f"+{command}" for command in commands]
    return ["resetkeys", "resetchannels", "-@all", *allowed, f"~{{{space}}}:settings", *keys, *channels]


def find_roles(script_name: str) -> list[str]:
    """Return the roles whose rule covers a script, or several scripts that are executed as one."""
    names = set(script_name.split(" and "))
    return [role.name for role in ROLES.values() if names <= set(role.scripts)]


def _get_role(name: str) -> Role:
    if name not in ROLES:
        raise InvalidInput(f"role {name!r} is not known; allowed are {', '.join(ROLES)}")
    return ROLES[name]


def _list_commands(role: Role) -> set[str]:
    inside = [called for name in role.scripts for called in _REDIS_CALL.findall(script(name).text)]
    return {_to_permission(*called) for called in inside} | set(role.commands)


def _to_permission(command: str, word: str) -> str:
    return (f"{command}|{word}" if command in _COMMANDS_WITH_SUBCOMMANDS else command).lower()


def list_key_kinds(role: Role) -> set[str]:
    """Return the kinds of keys that a role touches."""
    found = {kind for name in role.scripts for kind in script(name).header.key_kinds}
    # Some calls pass the key `nothing` in place of a key whose content must not count.
    return found | set(role.kinds) | ({"nothing", "wake"} if role.scripts else set())
