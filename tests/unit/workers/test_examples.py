"""The examples on the real roles, in steps: each does what its first lines say."""

from __future__ import annotations

import importlib
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobistemer import RunFailed
from jobistemer.testing import under_test
from tests.support.paths import ROOT

AT = datetime(2027, 1, 15, 7, 59, 58, tzinfo=UTC)
EXAMPLES = sorted(path.stem for path in (ROOT / "workers").glob("*.py"))


@pytest.fixture
def example(request):
    """The module of an example, and its jobs under test."""
    name = request.node.get_closest_marker("example").args[0]
    module = importlib.import_module(f"workers.{name}")
    with under_test(module.app, at=AT) as jobs:
        yield module, jobs


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_at_most_eighty_lines_and_says_how_to_run_it(name):
    text = (ROOT / "workers" / f"{name}.py").read_text("utf-8")
    assert len(text.splitlines()) <= 80
    assert f"workers.{name}:" in text
    assert not re.search(r"\bTODO\b", text)


@pytest.mark.example("basic")
def test_calls_come_back_and_a_key_makes_one_run(example):
    module, jobs = example
    first, later = module.greet.enqueue("Ann"), module.add.options(delay=1.5).enqueue(2, 3)
    only = {module.greet.options(unique="order-7").enqueue("Cid").id for _ in range(3)}
    jobs.advance(seconds=2)
    assert first.result(0) == "Hello, Ann!"
    assert later.result(0) == 5
    assert len(only) == 1


@pytest.mark.example("cron")
def test_schedules_fire_at_their_instants(example):
    module, jobs = example
    module.printed.clear()
    jobs.advance(seconds=10)
    assert [line for line in module.printed if "pulse" in line] == [
        f"{at} pulse" for at in ("08:00:00", "08:00:02", "08:00:04", "08:00:06", "08:00:08")
    ]
    assert "08:00:00 report" in module.printed
    assert sum("interval" in line for line in module.printed) == 2


@pytest.mark.example("parallel")
def test_a_map_is_summed_up_and_a_graph_comes_together(example, capsys):
    module, jobs = example
    run = module.count_primes.enqueue(below=5_000)
    jobs.run_until_idle()
    assert module.app.run(run.result(0)).result(0) == 669
    assert "669 primes, found by 5 runs" in capsys.readouterr().out
    jobs.advance(seconds=3)
    assert jobs.assert_occurred("prepare").state == "completed"


@pytest.mark.example("recovery")
def test_the_effect_is_applied_with_the_outcome(example, monkeypatch):
    module, jobs = example
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    assert jobs.perform(module.transfer, order="7", amount=120) == "order 7 by attempt 0"
    jobs.advance(seconds=3)
    jobs.assert_occurred("heartbeat")


@pytest.mark.example("distributed")
def test_each_instant_is_executed_by_one_process(example, capsys):
    module, jobs = example
    jobs.advance(seconds=6)
    assert len(re.findall(r"^08:00:0\d by ", capsys.readouterr().out, re.MULTILINE)) == 2
    assert jobs.perform(module.build_report, "ann") == "report of ann"


@pytest.mark.example("retries")
def test_a_connection_that_fails_is_tried_again_and_a_dead_run_is_told(example):
    module, jobs = example
    module.told.clear()
    mended, hopeless = module.fetch.enqueue("https://a", fails=2), module.fetch.enqueue("https://b", fails=99)
    wrong, polled = module.fetch.enqueue("ftp://c"), module.poll.enqueue()
    jobs.advance(seconds=60, raise_on_failure=False)
    assert mended.result(0) == "fetched at attempt 2"
    assert polled.result(0) == "ready"
    with pytest.raises(RunFailed, match="does not answer"):
        hopeless.result(0)
    with pytest.raises(RunFailed, match="no attempt can mend"):
        wrong.result(0)
    assert any("has failed for good: ConnectionError" in line for line in module.told)


@pytest.mark.example("middleware")
def test_code_around_runs_sees_their_headers_errors_and_resources(example):
    module, jobs = example
    module.lines.clear()
    with jobs.worker_resources():
        run = module.charge.options(headers={"request-id": "4bf9"}).enqueue(7)
        module.charge.options(max_retries=0).enqueue(-1)
        jobs.run_until_idle(raise_on_failure=False)
    assert run.result(0) == 1
    assert "charge of request 4bf9 was quick" in module.lines
    assert "tracked: ValueError('order -1 is none')" in module.lines


@pytest.mark.example("etl")
def test_a_day_that_is_loaded_again_replaces_itself(example, tmp_path, monkeypatch):
    module, jobs = example
    monkeypatch.setattr(module, "DATABASE", str(tmp_path / "etl.sqlite3"))
    module.app.control.register_all(module.app.jobs())
    for _ in range(2):
        module.app.control.trigger("nightly")
        jobs.run_until_idle()
    with closing(sqlite3.connect(module.DATABASE)) as database:
        assert database.execute("SELECT count(DISTINCT hour) FROM facts").fetchone() == (24,)
        assert database.execute("SELECT count(*) FROM facts").fetchone()[0] in (24, 48)


@pytest.mark.example("onboarding")
def test_a_customer_is_onboarded_over_days_and_no_step_is_repeated(example):
    module, jobs = example
    module.done.clear()
    run, other = module.onboard.enqueue("ann"), module.onboard.enqueue("bob")
    jobs.run_until_idle()
    jobs.advance(seconds=module.PAUSE_S)
    jobs.signal(run, "approved", module.Approval(yes=True))
    jobs.signal(other, "approved", module.Approval(yes=False))
    jobs.run_until_idle()
    assert run.result(0).startswith("ann has account")
    assert other.result(0) == "bob was turned down"
    assert sorted(line for line in module.done if "closed" not in line) == [
        "account of ann", "account of bob", "mail to ann", "mail to bob",
    ]  # fmt: skip
    assert sum("closed" in line for line in module.done) == 1


def test_every_example_is_named_in_the_readme_of_the_folder():
    text = Path(ROOT / "workers" / "README.md").read_text("utf-8")
    assert [name for name in EXAMPLES if f"`{name}.py`" not in text] == []
