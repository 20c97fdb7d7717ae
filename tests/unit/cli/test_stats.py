import json

import pytest

from jobistemer.core.errors import InvalidInput
from tests.support.lifecycle import build_ended, fetch_one, finish


def test_the_numbers_of_the_command_and_of_the_app_are_the_same(cli, app, shard):
    now_ms = shard.clock.now_ms()
    for state in ("succeeded", "failed"):
        app.enqueue("greet", {"name": "Ada"}, max_retries=0)
        finish(shard, build_ended(fetch_one(shard), state)._replace(ended_at=now_ms))
    app.enqueue("greet", {"name": "Bob"})
    result = cli("stats", "--task", "greet", "--json")
    assert result.exit_code == 0, result.output
    said, stats = json.loads(result.stdout), app.stats(task="greet")
    assert (stats.pending, stats.running, stats.completed, stats.dead) == (1, 0, 1, 1)
    assert {name: said[name] for name in ("pending", "running", "delayed", "completed", "failed", "dead")} == {
        "pending": 1,
        "running": 0,
        "delayed": 0,
        "completed": 1,
        "failed": 0,
        "dead": 1,
    }


def test_the_table_says_since_when_it_counts(cli, dead):
    dead("ValueError: no")
    shown = cli("stats").stdout
    assert "dead" in shown
    assert "ended since" in shown


@pytest.mark.parametrize("given", [{"since": "today"}, {"queue": 5}, {"task": None}])
def test_what_cannot_be_looked_up_is_refused_by_name(app, given):
    with pytest.raises(InvalidInput, match=next(iter(given))):
        app.stats(**given)
