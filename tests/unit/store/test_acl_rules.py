"""The scripts that a role's rule allows are those that its code can reach, neither more nor fewer."""

from functools import cache

import pytest

from jobistemer.store.acl import ROLES, build_rule
from jobistemer.store.scripts import list_scripts
from tests.support.script_usage import SourceGraph

ENQUEUEING = ("jobistemer.app.producer", "jobistemer.app.debounce", "jobistemer.app.request")
CODE = {
    "producer": ENQUEUEING,
    "ticker": ("jobistemer.ticker",),
    # Handlers enqueue, and a transaction takes enqueueing with it.
    "worker": ("jobistemer.worker", *ENQUEUEING),
    "operator": ("jobistemer.app", "jobistemer.control", "jobistemer.cli"),
    "viewer": ("jobistemer.store.reads.queues", "jobistemer.store.reads.jobs", "jobistemer.store.reads.records", "jobistemer.store.reads.audit"),
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
    assert not [token for token in tokens if token.startswith(("+@", "allkeys", "~*", "&*", "+config", "+flush", "+acl"))]
    assert all(token.startswith(("~{jobistemer:*}:", "~{jobistemer}:settings")) for token in tokens if token[0] == "~")
