import json

import pytest

from jobistemer import NO_RETRIES, Jobistemer
from jobistemer.control.dead_letters import DeadLetters
from jobistemer.store.actions.dead_letters import iter_messages
from jobistemer.store.reads.ended_runs import locate_dead_runs
from tests.support.lifecycle import build_ended, fetch, fetch_one, finish


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def listed(cli):
    return {each["run"]["id"] for each in told(cli("dead", "list", "--json"))["dead_letters"]}


def test_without_dead_letters_the_list_is_empty(cli):
    assert cli("dead", "list").stdout == "no dead letters\n"


def test_a_dead_run_is_listed_with_the_first_line_of_its_error(cli, dead):
    run = dead("ValueError: no\n  File x")
    assert listed(cli) == {run}
    shown = cli("dead", "list").stdout
    assert "ValueError: no" in shown
    assert "File x" not in shown


def test_one_letter_is_shown_with_payload_and_whole_error(cli, dead):
    shown = cli("dead", "show", dead("ValueError: no\n  File x")).stdout
    assert '{"name":"ann"}' in shown
    assert "File x" in shown


def test_a_replayed_letter_is_gone_and_its_work_waits_as_a_new_run(cli, dead, shard):
    run = dead()
    replayed = told(cli("dead", "replay", run, "--json"))
    assert listed(cli) == set()
    delivery = fetch_one(shard)
    assert replayed == {"replayed": {run: delivery.message.run}, "refused": {}}
    assert delivery.message.metadata == {"replay_of": run}
    assert f"replayed as {delivery.message.run}" in cli("run", "show", run).stdout


def test_all_letters_of_a_task_can_be_replayed(cli, dead, shard):
    runs = {dead(), dead()}
    assert told(cli("dead", "replay", "--handler", "other", "--json"))["replayed"] == {}
    assert set(told(cli("dead", "replay", "--handler", "greet", "--json"))["replayed"]) == runs
    assert len(fetch(shard)) == 2


def test_a_letter_that_is_not_there_is_refused_and_the_others_are_replayed(cli, dead):
    run = dead()
    result = cli("dead", "replay", "run_nope", run)
    assert result.exit_code == 1
    assert "run run_nope is no dead letter" in result.stderr
    assert listed(cli) == set()


def test_when_nothing_could_be_replayed_no_empty_table_is_shown(cli):
    result = cli("dead", "replay", "run_nope")
    assert result.stdout == "0 replayed\n"


def test_which_letters_are_meant_must_be_said_in_one_way(cli):
    for arguments in ((), ("run_1", "--all"), ("--all", "--handler", "greet")):
        result = cli("dead", "replay", *arguments)
        assert result.exit_code == 2
        assert "select dead letters: by run ids, by --handler, --job and --error, or by --all" in result.stderr


def test_purging_asks_before_it_deletes(cli, dead):
    run = dead()
    assert cli("dead", "purge", "--all", input="n\n").exit_code == 1
    assert listed(cli) == {run}
    assert cli("dead", "purge", "--all", "--yes").stdout == "1 purged\n"
    assert listed(cli) == set()
    assert cli("run", "show", run).exit_code == 1


def test_purging_what_is_not_there_is_a_failure(cli):
    result = cli("dead", "purge", "run_nope", "--yes")
    assert result.exit_code == 1
    assert "1 of the 1 given runs are not dead letters (any more)" in result.stderr


@pytest.fixture
def twelve_on_three_shards(url) -> tuple[Jobistemer, list[str]]:
    """An app with three shards, and the ids of twelve runs that have died there."""
    app = Jobistemer(url, shards=3)
    runs = [app.enqueue("greet", retry=NO_RETRIES).id for _ in range(12)]
    for shard in app.namespace.shards:
        for delivery in fetch(shard):
            finish(shard, build_ended(delivery, "failed", error="OSError: gone"))
    return app, runs


def test_letters_of_all_shards_are_found_and_replayed_where_they_lie(twelve_on_three_shards):
    app, runs = twelve_on_three_shards
    letters = DeadLetters(app.namespace)
    assert {letter.run.id for letter in letters.page()} == set(runs)
    assert len(letters.page(offset=5, limit=4)) == 4
    again = [letters.replay(letter.run.id) for letter in letters.all()]
    assert len(again) == 12
    assert all(app.run(run).record().state == "pending" for run in again)


def test_letters_are_searched_by_their_summaries_also_on_several_shards(twelve_on_three_shards):
    app, runs = twelve_on_three_shards
    found, all_seen = app.dead.search("greet", "GONE")
    assert (sorted(each.id for each in found), all_seen) == (sorted(runs), True)
    assert {(each.task, each.queue, each.state, each.note, each.attempts) for each in found} == {
        ("greet", "default", "dead", "OSError: gone", 1)
    }
    assert [each.id for each in found] == [each.run.id for each in app.dead.page()]
    assert app.dead.search(most=5)[1] is False
    assert len(app.dead.search(most=5)[0]) == 5
    app.dead.purge(runs[:11])
    assert [each.id for each in app.dead.search()[0]] == runs[11:]


def test_a_letter_is_replayed_with_another_payload(cli, dead, shard):
    run = dead()
    told(cli("dead", "replay", run, "--payload", '{"name": "eve"}', "--json"))
    assert bytes(fetch_one(shard).message.payload) == b'{"name":"eve"}'


def test_the_list_shows_beforehand_which_letters_are_chosen(cli, dead):
    first, second, _ = dead("OSError: gone"), dead("OSError: gone too"), dead("ValueError: no")
    assert [each["run"]["id"] for each in told(cli("dead", "list", "--error", "gone", "--json"))["dead_letters"]] == [
        first,
        second,
    ]
    assert (
        told(cli("dead", "list", "--error", "gone", "--offset", "1", "--json"))["dead_letters"][0]["run"]["id"]
        == second
    )
    assert cli("dead", "list", "--handler", "other").stdout == "no dead letters\n"


def test_letters_are_chosen_by_what_their_error_says(cli, dead, shard):
    first, second = dead("ValueError: no"), dead("OSError: gone")
    assert set(told(cli("dead", "replay", "--error", "gone", "--json"))["replayed"]) == {second}
    assert listed(cli) == {first}
    assert told(cli("dead", "replay", "--job", "nightly", "--json"))["replayed"] == {}


def test_a_payload_for_more_than_one_letter_or_that_is_no_object_is_refused(cli, dead):
    run = dead()
    assert "--payload is for one dead letter" in cli("dead", "replay", "--all", "--payload", "{}").output
    assert "is not JSON" in cli("dead", "replay", run, "--payload", "{").output
    assert "must be an object of keyword arguments" in cli("dead", "replay", run, "--payload", "[1]").output
    assert listed(cli) == {run}


def test_the_messages_of_a_page_are_asked_for_where_they_are(twelve_on_three_shards, monkeypatch):
    app, runs = twelve_on_three_shards
    shards = app.namespace.shards
    located = locate_dead_runs(shards)
    asked: list[str] = []
    for shard in shards:
        monkeypatch.setattr(
            shard, "read_all", lambda commands, ask=shard.read_all: asked.extend(commands) or ask(commands)
        )
    assert sorted(run for run, _ in iter_messages(located)) == sorted(runs)
    assert len(asked) == len(runs)
