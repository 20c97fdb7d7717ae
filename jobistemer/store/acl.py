"""The permissions of each role on the server: the least that its code needs, as rules for `ACL SETUSER`.

The commands and keys of a script are read from its text and its header, so a rule cannot fall behind a script. Commands
that a role sends without a script are listed here. Redis checks each command inside a script against the rule of the
user, so a rule that allows `EVALSHA` allows nothing else by it.

There are two forms of a rule. That for Redis 7 and Valkey allows each command on the kinds of keys that need it, by
selectors. Redis 6.2 knows none: there each command of a role counts for each of its keys, and a producer needs `EVAL`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

from jobistemer.core.checks import check_name
from jobistemer.core.errors import InvalidInput
from jobistemer.core.runs.transaction import ALLOWED_COMMANDS
from jobistemer.store.keys import TYPES
from jobistemer.store.script_permissions import Permission, list_single_kinds, read_permissions
from jobistemer.store.scripts import ENQUEUE_SCRIPTS, PRODUCER_SCRIPTS, script


class Role(NamedTuple):
    """A role: the scripts it runs, the commands it sends without a script, and the kinds of keys that these touch.

    writes: the commands among them that write, each with its kind of key, such as `sadd paused`.
    """

    name: str
    description: str
    scripts: tuple[str, ...]
    commands: tuple[str, ...]
    kinds: tuple[str, ...]
    writes: tuple[str, ...] = ()


# The last two on a cluster only, where slots move.
_CONNECT_COMMANDS: Final = "ping select client|setname time hget cluster|slots asking"
_SCRIPT_COMMANDS: Final = "evalsha eval script|load hsetnx"
_LOADING: Final = frozenset(("eval", "script|load"))
"""What executes a text that the role itself sends; a producer does without, because others load its scripts."""
_READ_COMMANDS: Final = "hgetall hkeys hmget lrange"
_KEYLESS: Final = frozenset(
    f"{_SCRIPT_COMMANDS} ping select client|setname client|id client|unblock time cluster|slots cluster|info "
    "cluster|nodes asking subscribe unsubscribe publish info scan".split()
) - {"hsetnx"}
_READS_OF_TYPES: Final = {
    "hash": "hget hgetall hkeys hmget hlen hexists",
    "list": "lrange llen",
    "set": "smembers",
    "stream": "xlen xpending xrange xrevrange xinfo|groups xinfo|consumers xreadgroup xack xdel",
    "zset": "zcard zmscore zrange zrangebyscore zrevrange zrevrangebyscore zscore",
}
_READS_OF_NOTHING: Final = frozenset(
    ("exists", "get", "hexists", "hget", "hlen", "hmget", "sismember", "zcard", "zrange", "zscore")
)
_READS_OF_ALL: Final = frozenset(("exists", "type", "pttl"))
_END_SCRIPTS: Final = (
    "commit_run commit_task count_member count_outcome end_schedule end_occurrence expire_group halt_group "
    "seal_group enqueue_on_dead expire_steps wake_parent undo_run"
)
_CANCEL_SCRIPTS: Final = f"{_END_SCRIPTS} admit_waiting_run release_limits request_cancel cancel_queued halt_occurrence"
_QUARANTINE_SCRIPTS: Final = "quarantine_member quarantine_key"
_ENQUEUE_SCRIPTS: Final = " ".join(ENQUEUE_SCRIPTS)
_RECORD_KINDS: Final = "run attempt log"

PRODUCER: Final = Role(
    "producer",
    "enqueues, and waits for results",
    PRODUCER_SCRIPTS,
    tuple(f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS}".split()),
    tuple(f"{_RECORD_KINDS} occurrence".split()),
    ("get identity", "zscore delayed"),
)
TICKER: Final = Role(
    "ticker",
    "decides what is due; needs no other role beside it",
    tuple(
        f"{_CANCEL_SCRIPTS} {_QUARANTINE_SCRIPTS} beat_ticker claim_occurrence claim_occurrences fire_occurrence "
        "start_occurrence promote_runs "
        "forget_worker forget_occurrence advance_backfill postpone_job register_job raise_alert drop_stream".split()
    ),
    tuple(
        f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS} subscribe unsubscribe hexists "
        "hlen del smembers type xrange xinfo|consumers zscore "
        "zadd zcard zmscore zrange zrangebyscore zrem zremrangebyscore".split()
    ),
    tuple(f"{_RECORD_KINDS} stream results backfill quarantine kept holds".split()),
    (
        *("zadd chores", "zrem chores", "zadd expected", "zrem expected", "zrem deadlines", "zrem history"),
        *("zremrangebyscore dead", "zremrangebyscore holds", "zrem tickers", "del ticker", "zadd workers"),
    ),
)
WORKER: Final = Role(
    "worker",
    "executes, takes over from the dead, and enqueues what its handlers ask for",
    tuple(
        f"{_END_SCRIPTS} {_ENQUEUE_SCRIPTS} {_QUARANTINE_SCRIPTS} admit_waiting_run release_limits request_cancel "
        "commit_occurrences commit_successes commit_members return_runs lose_runs put_off_unknown join_worker "
        "record_steps suspend_run record_change "
        "commit_transaction retry_run interrupt_run add_children admit_run beat_worker forget_worker free_unique "
        "hold_run claim_first_start "
        "open_streams start_attempt write_attempt_log".split()
    ),
    tuple(
        f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS} client|id client|unblock exists "
        "hexists pexpire type xack xdel xpending zscore "
        f"xrange xreadgroup zrange zrevrangebyscore {' '.join(ALLOWED_COMMANDS)}".lower().split()
    ),
    tuple(f"{_RECORD_KINDS} steps app job history versions limits held waiting".split()),
    (
        *("pexpire group", "pexpire results", "pexpire run", "zadd workers"),
        *(f"{command.lower()} app" for command in ALLOWED_COMMANDS),
    ),
)
OPERATOR: Final = Role(
    "operator",
    "deploys and controls jobs, queues, runs and workers, and cancels: the command line",
    tuple(
        f"{_CANCEL_SCRIPTS} {_ENQUEUE_SCRIPTS} {_QUARANTINE_SCRIPTS} restore_quarantined advance_backfill "
        "claim_occurrence command_worker fire_occurrence "
        "forget_occurrence record_change record_job_change pause_job postpone_job purge_dead purge_ended "
        "register_job register_jobs release_held "
        "remove_job "
        "replay_dead rewind_run retry_ended resume_job start_backfill".split()
    ),
    tuple(
        f"{_CONNECT_COMMANDS} {_SCRIPT_COMMANDS} {_READ_COMMANDS} info cluster|info cluster|nodes "
        "scan type pttl pexpire del xdel exists hexists hlen llen "
        "sadd smembers srem xinfo|groups xinfo|consumers xlen xpending xrange xrevrange "
        "zadd zcard zmscore zrange zrangebyscore zrem "
        "zremrangebyscore zrevrange zrevrangebyscore zscore".split()
    ),
    tuple(
        f"{_RECORD_KINDS} tickers ticker workers worker history live queued versions audit backfill "
        "outcomes holds changes parked limits identity suspects joined unknown steps questions "
        "held waiting rate promised paused closed streams stream results group dead due".split()
    ),
    (
        *("sadd paused", "srem paused", "sadd closed", "srem closed", "zadd chores", "zrem chores", "hsetnx settings"),
        *("get forms", "set forms", "get identity"),
        *("zadd holds", "zrem holds", "zremrangebyscore holds", "zremrangebyscore dead", "zrem history"),
        *("del kept", "xdel quarantine", "pexpire versions", "pexpire history", "pexpire audit"),
        *("zrem due", "zrem expected"),
    ),
)
VIEWER: Final = Role(
    "viewer",
    "looks, and changes nothing: the command line's lists and reports, a read-only dashboard",
    (),
    tuple(
        f"{_CONNECT_COMMANDS} {_READ_COMMANDS} exists type hexists hlen llen smembers xinfo|groups xlen "
        "xpending xrange xrevrange zcard zmscore "
        "zrange zrangebyscore zrevrange zrevrangebyscore zscore".split()
    ),
    tuple(
        f"{_RECORD_KINDS} job occurrence history live queued versions audit backfill chores streams "
        "stream delayed dead due "
        "paused closed limits held waiting holds changes parked steps questions group results workers worker tickers "
        "ticker "
        "expected quarantine ended outcomes".split()
    ),
)
_OF_NAMESPACE: Final = frozenset(["settings", "forms"])
"""The kinds of keys that a namespace has one of, on no shard."""
ROLES: Final = {role.name: role for role in (PRODUCER, TICKER, WORKER, OPERATOR, VIEWER)}


def build_rule(roles: Iterable[str], namespace: str, *, selectors: bool = True) -> list[str]:
    """Return the words that follow `ACL SETUSER name on >password` for a user with all these roles.

    selectors: without them the rule is one that Redis 6.2 understands, and weaker.
    Raises InvalidInput for an unknown role.
    """
    chosen = [_get_role(name) for name in roles]
    space = check_name("namespace", namespace)
    channels = [f"&{{{space}:*}}:wake"] if any(role.scripts for role in chosen) else []
    if not selectors:
        commands = sorted({f"+{permission.command}" for role in chosen for permission in list_permissions(role)})
        loading = [f"+{each}" for role in chosen for each in role.commands if each in _LOADING]
        kinds = sorted({kind for role in chosen for kind in list_key_kinds(role)})
        of_namespace = {each.kind for role in chosen for each in list_permissions(role)} & _OF_NAMESPACE
        keys = [f"~{_pattern(space, kind)}" for kind in (*sorted(of_namespace, reverse=True), *kinds)]
        return ["resetkeys", "resetchannels", "-@all", *sorted({*commands, *loading}), *keys, *channels]
    allowed = {permission for role in chosen for permission in list_permissions(role)}
    bare = [f"+{each.command}" for each in sorted(allowed) if not each.kind]
    # The words of a selector must come one after the other; a shell hands them over in that order.
    rule = ["resetkeys", "resetchannels", "-@all", *bare, *channels]
    if any(role.scripts for role in chosen):
        # The keys of the call itself count too; what its script does with each is checked by the rules below.
        calls = ["+evalsha", *(["+eval"] if Permission("eval", "") in allowed else [])]
        rule.append(f"({' '.join(calls)} ~{{{space}:*}}:*)")
    return [*rule, *_build_selectors(allowed, space)]


def _build_selectors(allowed: set[Permission], space: str) -> list[str]:
    """Return a selector for each set of commands, with the kinds of keys that all of these may be sent for."""
    commands = defaultdict[str, list[str]](list)
    for each in sorted(allowed):
        if each.kind:
            commands[each.kind].append(f"+{each.command}")
    kinds = defaultdict[tuple[str, ...], list[str]](list)
    for kind in sorted(commands):
        kinds[tuple(commands[kind])].append(f"~{_pattern(space, kind)}")
    # These are sent for several keys at a time, which one selector has to allow.
    for word in ("+exists", "+rename"):
        kinds[word,] += [f"~{_pattern(space, kind)}" for kind in sorted(commands) if word in commands[kind]]
    return [f"({' '.join((*words, *keys))})" for words, keys in kinds.items() if keys]


def _pattern(space: str, kind: str) -> str:
    if kind in _OF_NAMESPACE:
        return f"{{{space}}}:{kind}"
    # Others are followed by a name or an id.
    is_single = kind == "nothing" or kind in list_single_kinds()
    return f"{{{space}:*}}:{kind if is_single else f'{kind}:*'}"


def find_roles(script_name: str) -> list[str]:
    """Return the roles whose rule covers a script, or several scripts that are executed as one."""
    names = set(script_name.split(" and "))
    return [role.name for role in ROLES.values() if names <= set(role.scripts)]


def _get_role(name: str) -> Role:
    if name not in ROLES:
        raise InvalidInput(f"role {name!r} is not known; allowed are {', '.join(ROLES)}")
    return ROLES[name]


@cache
def list_permissions(role: Role) -> frozenset[Permission]:
    """Return the pairs of command and kind of key that a role needs, those of its scripts and its own."""
    found = {each for name in role.scripts for each in read_permissions(name)}
    found |= {Permission(*each.split()) for each in role.writes} | {
        Permission(command, "settings") for command in ("hget", "hmget")
    }
    written = {each.split()[0] for each in role.writes}
    for command in role.commands:
        own = _list_own_permissions(role, command)
        if not own and command not in written and command != "hsetnx":
            raise ValueError(f"role {role.name}: there is no kind of key for {command}")
        found |= own
    if role.scripts and set(_QUARANTINE_SCRIPTS.split()) <= set(role.scripts):
        found |= _list_quarantine_permissions(found)
    # In place of a key whose content must not count.
    reads = {each.command for each in found} & _READS_OF_NOTHING
    return frozenset(found | {Permission(command, "nothing") for command in reads})


def _list_quarantine_permissions(found: set[Permission]) -> set[Permission]:
    """Return what a role needs to put aside what it cannot read: only of the kinds of keys that it writes anyway."""
    reads = {*" ".join((*_READS_OF_TYPES.values(), "exists type pttl get sismember hscan")).split()}
    written = {each.kind for each in found if each.kind and each.command not in reads}
    written -= {*_OF_NAMESPACE, "app", "nothing"}
    members = {"zset": ("zscore", "zrem"), "set": ("srem",)}
    own = {Permission(command, kind) for kind in written for command in members.get(TYPES.get(kind, ""), ())}
    kept = {Permission(command, "kept") for command in ("rename", "pexpire", "exists", "type", "persist", "del")}
    return own | kept | {Permission(command, kind) for kind in written for command in ("type", "rename", "exists")}


def _list_own_permissions(role: Role, command: str) -> set[Permission]:
    if command in _KEYLESS:
        without = role.name == "producer" and command in _LOADING
        return {Permission("evalsha" if without else command, "")}
    return {
        Permission(command, kind)
        for kind in list_key_kinds(role)
        if command in _READS_OF_ALL or command in _READS_OF_TYPES.get(TYPES.get(kind, ""), "").split()
    }


def list_key_kinds(role: Role) -> set[str]:
    """Return the kinds of keys that a role touches."""
    found = {kind for name in role.scripts for kind in script(name).header.key_kinds}
    # Some calls pass the key `nothing` in place of a key whose content must not count.
    return found | set(role.kinds) | ({"nothing", "wake"} if role.scripts else set())
