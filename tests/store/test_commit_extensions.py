"""A call and what belongs to it are one script, whatever the server knows of it."""

from __future__ import annotations

from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import message
from tests.support.shard_state import records


def created(database, *names):
    return [runs.enqueue_run(database.keys, message(name)) for name in names]


def together(first, *others):
    return first._replace(extensions=others)


def test_each_part_answers_for_itself(database):
    one, two = created(database, "run_1", "run_2")
    mine, new = Reply("MINE", []), Reply("CREATED", [])
    assert database.call(together(one, two)) == Reply("CREATED", [], (new,))
    assert database.call(together(one, two)) == Reply("MINE", [], (mine,))


def test_a_server_that_has_lost_its_scripts_is_given_them_again(database):
    one, two, three = created(database, "run_1", "run_2", "run_3")
    database.client.script_flush()
    assert database.call(together(one, two)) == Reply("CREATED", [], (Reply("CREATED", []),))
    database.client.script_flush()
    both, alone = database.call_all([together(one, three), two])
    assert both == Reply("MINE", [], (Reply("CREATED", []),))
    assert alone == Reply("MINE", [])
    assert {key for key in records(database) if key.startswith("run:")} == {"run:run_1", "run:run_2", "run:run_3"}


def test_a_part_may_occur_twice(database):
    one, two, three = created(database, "run_1", "run_2", "run_3")
    database.call(together(one, two, three))
    assert len(records(database)["stream:default:5"].entries) == 3


def test_a_call_alone_is_sent_as_it_is(database):
    (one,) = created(database, "run_1")
    assert one.combined is one
    assert one.command[0] == "EVALSHA"


def test_a_part_may_be_a_script_that_is_made_of_others_itself(database):
    one, two, three = created(database, "run_1", "run_2", "run_3")
    inner = together(one, two).combined
    outer = together(three, three).combined
    assert inner.script is together(one, three).combined.script
    assert outer.script is not three.script
    assert database.ask(*inner.command, script=inner) == [b"CREATED", b"CREATED"]
