"""`jobistemer acl` on the command line."""

import json

from jobistemer.store.acl import ROLES, build_rule


def test_every_role_is_printed_with_what_it_does_and_its_rule(cli):
    found = json.loads(cli("acl", "--json").stdout)
    assert [each["role"] for each in found] == list(ROLES)
    assert found[0]["rule"] == " ".join(build_rule(["producer"], "jobistemer"))
    text = cli("acl").stdout
    assert "producer" in text
    assert ROLES["producer"].description in text


def test_one_rule_is_printed_as_one_line_for_a_shell(cli):
    result = cli("acl", "ticker", "--namespace", "shop")
    assert result.stdout.splitlines() == [" ".join(build_rule(["ticker"], "shop"))]


def test_several_roles_are_printed_as_one_rule(cli):
    found = json.loads(cli("acl", "producer", "operator", "--json").stdout)
    assert found == {
        "roles": ["producer", "operator"],
        "rule": " ".join(build_rule(["producer", "operator"], "jobistemer")),
    }


def test_a_role_that_there_is_not_is_wrong_usage(cli):
    result = cli("acl", "root")
    assert result.exit_code == 2
    assert "'root' is not one of 'producer', 'ticker', 'worker', 'operator', 'viewer'" in result.stderr


def test_no_server_is_asked(cli):
    assert cli("acl", "viewer", "--url", "redis://127.0.0.1:1/0").exit_code == 0


def test_a_server_that_knows_no_info_is_a_warning(cli):
    found = json.loads(cli("doctor", "--json").stdout)["findings"]
    assert all(each["remedy"] for each in found if each["level"] != "fine")
