"""The scripts that a role's rule allows are those that its code can reach, neither more nor fewer."""

from functools import cache

import pytest

from jobistemer.store.acl import ROLES, build_rule
from jobistemer.store.keys import TYPES
from jobistemer.store.script_permissions import read_permissions
from jobistemer.store.scripts import list_scripts
from tests.support.script_usage import SourceGraph

ENQUEUEING = (
    "jobistemer.app.producer",
    "jobistemer.app.debounce",
    "jobistemer.app.request",
    "jobistemer.control.signals",
)
CODE = {
    # A signal may have an author, whom the list of changes names.
    "producer": (*ENQUEUEING, "jobistemer.store.calls.changes"),
    "ticker": ("jobistemer.ticker", "jobistemer.control.put_aside"),
    # Handlers enqueue, and a transaction takes enqueueing with it.
    "worker": ("jobistemer.worker", "jobistemer.control.put_aside", "jobistemer.store.calls.changes", *ENQUEUEING),
    "operator": ("jobistemer.app", "jobistemer.control", "jobistemer.cli"),
    "viewer": (
        "jobistemer.store.reads.queues",
        "jobistemer.store.reads.jobs",
        "jobistemer.store.reads.records",
        "jobistemer.store.reads.audit",
    ),
}
source = cache(SourceGraph)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_run_the_scripts_that_its_code_can_reach(role):
    assert set(ROLES[role].scripts) == source().scripts(*CODE[role])


def test_every_script_belongs_to_a_role():
    assert {each.name for each in list_scripts()} == {name for role in ROLES.values() for name in role.scripts}


@pytest.mark.parametrize("role", ROLES)
def test_no_rule_allows_what_endangers_the_server(role):
    tokens = set(build_rule([role], "jobistemer"))
    assert {"resetkeys", "resetchannels", "-@all"} <= tokens
    assert not [
        token for token in tokens if token.startswith(("+@", "allkeys", "~*", "&*", "+config", "+flush", "+acl"))
    ]
    keys = [word.rstrip(")") for token in tokens for word in token.split() if word[0] == "~"]
    assert keys
    assert all(key.startswith(("~{jobistemer:*}:", "~{jobistemer}:settings", "~{jobistemer}:forms")) for key in keys)
    # Every key is for the call of a script alone.
    assert not [
        token
        for token in tokens
        if "~{jobistemer:*}:*" in token and token.split()[:-1] not in (["(+evalsha"], ["(+evalsha", "+eval"])
    ]


@pytest.mark.parametrize("name", [each.name for each in list_scripts()])
def test_the_key_of_every_call_of_a_script_is_one_that_a_header_names(name):
    found = read_permissions(name)
    assert found
    assert {each.kind for each in found} - {""} <= {*TYPES, "app", "kept"}


def test_a_script_does_to_each_kind_of_key_what_its_body_says():
    assert read_permissions("enqueue_run") == {
        *(("exists", "run"), ("hset", "run"), ("get", "unique"), ("set", "unique"), ("sismember", "closed")),
        ("exists", "closed"),
        *(("sadd", "streams"), ("xadd", "stream"), ("xgroup|create", "stream")),
    }
    # Two keys of one command, and a key that a fragment knows by another name.
    assert {("exists", "live"), ("exists", "queued")} <= read_permissions("claim_occurrences")
    assert ("rpush", "changes") in read_permissions("record_change")
    assert ("zadd", "rate") in read_permissions("admit_run")


@pytest.mark.parametrize("selectors", [True, False])
def test_the_secret_of_forms_is_for_operators_alone(selectors):
    allowed = {
        role
        for role in ROLES
        if "{jobistemer}:forms" in " ".join(build_rule([role], "jobistemer", selectors=selectors))
    }
    assert allowed == {"operator"}


def test_only_a_worker_may_touch_the_keys_of_the_application():
    rules = {name: " ".join(build_rule([name], "jobistemer")) for name in ROLES}
    assert [name for name, rule in rules.items() if ":app:" in rule] == ["worker"]
