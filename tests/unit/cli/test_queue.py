import json

from tests.support.lifecycle import fetch


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_empty_namespace_has_no_queues(cli):
    assert "nothing has been enqueued" in cli("queue", "list").stdout
    assert told(cli("queue", "list", "--json")) == {
        "queues": [],
        "delayed": 0,
        "total": 0,
        "total_is_exact": True,
        "next": None,
    }


def test_what_waits_is_told_apart_from_what_is_in_flight_and_what_is_delayed(cli, app, shard):
    for priority in (5, 5, 9):
        app.enqueue("greet", priority=priority)
    app.enqueue("greet", delay=60)
    fetch(shard, count=1)
    assert told(cli("queue", "list", "--json")) == {
        "queues": [
            {
                "name": "default",
                "waiting": 2,
                "in_flight": 1,
                "delayed": 1,
                "paused": False,
                "priorities": {"9": 1, "5": 1},
                "limited": {},
                "draining": False,
                "delayed_is_exact": True,
                "limited_is_exact": True,
            }
        ],
        "delayed": 1,
        "total": 1,
        "total_is_exact": True,
        "next": None,
    }
    assert "9: 1, 5: 1" in cli("queue", "list").stdout


def test_a_paused_queue_is_shown_until_it_is_resumed(cli, app, shard):
    app.enqueue("greet", queue="mail")
    assert cli("queue", "pause", "mail", "--force").exit_code == 0
    assert shard.ask("SMEMBERS", shard.keys.paused) == {b"mail"}
    assert told(cli("queue", "list", "--json"))["queues"][0]["paused"] is True

    assert cli("queue", "resume", "mail").exit_code == 0
    assert told(cli("queue", "list", "--json"))["queues"][0]["paused"] is False


def test_pausing_reaches_every_shard(cli, url):
    from jobistemer import Jobistemer

    shards = Jobistemer(url, shards=2).namespace.shards
    cli("queue", "pause", "mail", "--force")
    assert [each.ask("SMEMBERS", each.keys.paused) for each in shards] == [{b"mail"}, {b"mail"}]


def test_a_queue_name_that_may_not_enter_a_key_is_refused(cli):
    result = cli("queue", "pause", "ma:il")
    assert result.exit_code == 2
    assert "queue name 'ma:il' is not allowed" in result.stderr


def test_a_queue_that_is_drained_says_so_and_refuses_what_is_enqueued(cli, app):
    assert "takes no new runs" in cli("queue", "drain", "default", "--force").stdout
    refused = cli("enqueue", "greet")
    assert refused.exit_code == 1
    assert "queue 'default' is being drained and takes no new runs" in refused.output
    assert told(cli("queue", "list", "--json"))["queues"][0]["draining"] is True
    assert "draining" in cli("queue", "list").stdout
    cli("queue", "open", "default")
    assert cli("enqueue", "greet").exit_code == 0


def test_a_purge_asks_first_and_says_how_many_it_ended(cli, app):
    for _ in range(3):
        app.enqueue("greet")
    assert cli("queue", "purge", "default", input="n\n").exit_code == 1
    assert told(cli("queue", "purge", "default", "--reason", "wrong", "--yes", "--json")) == {
        "queue": "default",
        "purged": 3,
    }
    assert told(cli("queue", "list", "--json"))["queues"][0]["waiting"] == 0
