"""The whole table of role, kind of key and command, asked of a real server in both directions.

`ACL DRYRUN` says what a server would let a user do. Each pair that a role's code needs is allowed, and each pair of any
other command and kind of key is not, so that a rule that becomes wider shows here.
"""

from __future__ import annotations

import pytest
import redis

from jobistemer import Jobistemer
from jobistemer.core.errors import ServerRefused
from jobistemer.store.acl import ROLES, build_rule, list_permissions
from jobistemer.store.keys import TYPES
from jobistemer.store.namespace import Namespace
from jobistemer.store.script_permissions import list_single_kinds
from jobistemer.store.server.connection import Server, connect
from tests.support.roles import create_user
from tests.support.servers import running, single

KINDS = sorted({*TYPES, "settings", "app", "kept"})
# Where the key stands, for commands whose first key is not the second word.
FORMS = {
    "xgroup|create": ("XGROUP", "CREATE", "KEY", "g", "$"),
    "xgroup|delconsumer": ("XGROUP", "DELCONSUMER", "KEY", "g", "c"),
    "xinfo|groups": ("XINFO", "GROUPS", "KEY"),
    "xinfo|consumers": ("XINFO", "CONSUMERS", "KEY", "g"),
    "rename": ("RENAME", "KEY", "KEY"),
    "xreadgroup": ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "KEY", ">"),
}
# What no role needs, on top of what some role needs.
MORE = ("rename", "copy", "getdel", "append", "setrange", "xtrim", "xsetid", "zpopmin", "spop", "lset", "expire",
        "persist", "unlink", "dump", "migrate", "object|encoding", "flushall", "config|get", "keys", "script|flush", "debug",
        "function|load", "client|kill", "acl|list", "monitor", "shutdown", "replicaof", "swapdb", "script|kill")  # fmt: skip


@pytest.fixture(scope="module", params=single())
def admin(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("acl")) as url:
        client = connect(url)
        for role in ROLES:
            create_user(client, url, "test", role)
        client.address = url
        yield client


def spelled(client, command, kind):
    """A command line that sends a command for a key of a kind; None for a command that this server does not know."""
    key = "{test}:settings" if kind == "settings" else f"{{test:0}}:{kind}:x"
    if kind in list_single_kinds():
        key = f"{{test:0}}:{kind}"
    if form := FORMS.get(command):
        return [key if word == "KEY" else word for word in form]
    words = command.upper().split("|")
    known = client.execute_command("COMMAND", "INFO", words[0])
    if words[0].lower() not in known:
        return None
    arity = abs(known[words[0].lower()]["arity"])
    return [*words, key, *["1"] * max(0, arity - len(words) - 1)]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_its_code_needs_and_nothing_else(admin, role):
    needed = {(each.command, each.kind) for each in list_permissions(ROLES[role]) if each.kind}
    commands = sorted(
        {each.command for other in ROLES.values() for each in list_permissions(other) if each.kind} | set(MORE)
    )
    asked, pipe = [], admin.pipeline(transaction=False)
    for command in commands:
        for kind in KINDS:
            if words := spelled(admin, command, kind):
                asked.append((command, kind))
                pipe.execute_command("ACL", "DRYRUN", role, *words)
    answers = dict(zip(asked, pipe.execute(raise_on_error=False), strict=True))
    assert not [
        each for each, answer in answers.items() if isinstance(answer, redis.ResponseError) and "DRYRUN" in str(answer)
    ]
    allowed = {each for each, answer in answers.items() if answer in (b"OK", "OK")}
    assert len(answers) > 2000
    assert {each for each in needed if each[1] in KINDS} - allowed == set()
    assert allowed - needed == set()


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("producer", ("PEXPIRE", "{test:0}:stream:default:5", 1)),
        ("producer", ("PEXPIRE", "{test:0}:run:run_1", 1)),
        ("producer", ("SADD", "{test:0}:closed", "default:5")),
        ("producer", ("SADD", "{test:0}:paused", "default")),
        ("producer", ("HSET", "{test}:settings", "shards", 1000)),
        ("producer", ("HSETNX", "{test}:settings", "home:1", 1)),
        ("producer", ("EVAL", "while true do end", 0)),
        ("producer", ("SCRIPT", "LOAD", "while true do end")),
        ("producer", ("DEL", "{test:0}:delayed")),
        ("producer", ("ZREM", "{test:0}:due", "job_1")),
        ("worker", ("HSET", "{test:0}:versions:job_1", "1", "{}")),
        ("worker", ("HSET", "{test}:settings", "shards", 1000)),
        ("worker", ("DEL", "{test:0}:audit:job_1")),
        ("worker", ("SADD", "{test:0}:paused", "default")),
        ("worker", ("SADD", "{test:0}:closed", "default:5")),
        ("worker", ("PEXPIRE", "{test:0}:stream:default:5", 1)),
        ("worker", ("DEL", "{test:0}:job:job_1")),
        ("worker", ("ZADD", "{test:0}:due", 1, "job_1")),
        ("ticker", ("HSET", "{test}:settings", "shards", 1000)),
        ("ticker", ("SADD", "{test:0}:closed", "default:5")),
        ("ticker", ("XREADGROUP", "GROUP", "workers", "t", "STREAMS", "{test:0}:stream:default:5", ">")),
    ],
)
def test_what_would_harm_others_is_refused(admin, role, command):
    client = Server(admin.address.replace("://", f"://{role}:s3cret@")).client("{test:0}")
    with pytest.raises(redis.ResponseError, match="(?i)no permission"):
        client.execute_command(*command)
    client.close()


def test_a_producer_needs_no_right_to_send_scripts_once_somebody_has_loaded_them(admin):
    admin.flushall()
    admin.script_flush()
    operator = Namespace(admin.address.replace("://", "://operator:s3cret@"), "test")
    operator.connect()
    app = Jobistemer(admin.address.replace("://", "://producer:s3cret@"), namespace="test")
    with pytest.raises(ServerRefused, match="start a ticker or a worker of this version, which loads it"):
        app.enqueue("anything", {})
    Namespace(admin.address.replace("://", "://ticker:s3cret@"), "test").shards[0].load_scripts()
    assert app.enqueue("anything", {}).id
    app.enqueue("anything", {}, delay=60)
    app.enqueue("anything", {}, unique="one")
    assert len(app.enqueue_many([app.request("anything", {}) for _ in range(3)])) == 3
    app.enqueue("anything", {}, debounce=30)


def test_the_rule_for_redis_6_has_no_selectors_and_is_wider():
    for role in ROLES:
        old = build_rule([role], "test", selectors=False)
        assert not [each for each in old if each.startswith("(")]
        new = {each.command for each in list_permissions(ROLES[role])}
        assert {f"+{command}" for command in new} <= set(old)
    assert "+eval" in build_rule(["producer"], "test", selectors=False)
    assert not any("eval " in each or each == "+eval" for each in build_rule(["producer"], "test"))
