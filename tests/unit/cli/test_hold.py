import json

import pytest


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_hold_is_put_listed_and_released(cli):
    assert "nothing is on hold" in cli("hold", "list").stdout
    assert told(cli("hold", "put", "greet", "--force", "--key", "7", "--for", 600, "--json"))["name"] == "task/greet:7"
    (hold,) = told(cli("hold", "list", "--json"))["holds"]
    assert (hold["name"], hold["parked"]) == ("task/greet:7", 0)
    assert "task/greet:7" in cli("hold", "list").stdout
    assert cli("hold", "release", "greet", "--key", "7").exit_code == 0
    assert told(cli("hold", "list", "--json"))["holds"] == []


def test_a_limit_with_a_name_of_its_own_is_held_by_it(cli):
    assert "printer is on hold for 5 s" in cli("hold", "put", "--limit", "printer", "--for", 5, "--force").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("release", "greet"), "'task/greet' is not on hold; `jobistemer hold list` shows what is"),
        (("put", "--for", "5"), "say what to hold: a task, or a limit that has a name of its own"),
        (("put", "greet", "--for", "0", "--force"), "seconds is 0, allowed are 0.001 and more seconds"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(cli, arguments, words):
    refused = cli("hold", *arguments)
    assert refused.exit_code == (1 if arguments[0] == "release" else 2)
    assert words in refused.output
