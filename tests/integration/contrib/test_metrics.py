"""Metrics agree with events: attempts, runs, retries, occurrences, and the runs that wait."""

from __future__ import annotations

import http.client
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from jobistemer import NO_RETRIES, Delays, Fail, Jobistemer, contrib
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.contrib.prometheus import Collector
from jobistemer.core.errors import NotConnected
from jobistemer.core.reads.metrics import Histogram, Measure
from jobistemer.core.settings import WorkerSettings
from jobistemer.store.reads import metrics
from jobistemer.store.reads.metrics import Gauges
from jobistemer.ticker import Ticker
from jobistemer.ticker.metrics import TickerMetrics
from jobistemer.ticker.shard_ticker import ShardTicker
from jobistemer.worker.attempts.metrics import AttemptMetrics
from jobistemer.worker.worker import Worker
from tests.integration.worker.test_reclaim import buried, dies
from tests.support.paths import ROOT
from tests.support.processes import Process
from tests.support.servers import VALKEY, running
from tests.support.step_system import TICKER_SETTINGS, StepWorker, break_next
from tests.support.worker_processes import wait_until

DOCS = ROOT / "docs"
BOTH = WorkerSettings(queues={"default": 0, "mail": 0})


def told(measures: Iterable[Measure]) -> dict[str, dict[tuple[str, ...], object]]:
    """The values by name and labels; of a spread, how many there were."""
    return {
        each.name: {
            labels: sum(value.counts) if isinstance(value, Histogram) else value for labels, value in each.values
        }
        for each in measures
    }


@pytest.fixture
def app(app):
    @app.task
    def fine() -> None: ...

    @app.task(retry=Delays((0,)), queue="mail")
    def broken() -> None:
        raise ValueError("no")

    @app.task(retry=NO_RETRIES)
    def hopeless() -> None:
        raise Fail("never")

    return app


def test_every_end_is_counted_once_by_task_queue_and_state(app, database):
    for task, count in (("fine", 5), ("broken", 2), ("hopeless", 1)):
        for _ in range(count):
            app.enqueue(task)
    worker = StepWorker(database, app, settings=BOTH)
    worker.work()
    assert told(worker.attempt_metrics.measures()) == {
        "attempts": {
            ("fine", "default", "succeeded"): 5,
            ("broken", "mail", "failed"): 4,
            ("hopeless", "default", "failed"): 1,
        },
        "runs": {
            ("fine", "default", "succeeded"): 5,
            ("broken", "mail", "dead"): 2,
            ("hopeless", "default", "failed"): 1,
        },
        "retries": {("broken", "mail"): 2},
        "attempt_duration_seconds": {("fine", "default"): 5, ("broken", "mail"): 4, ("hopeless", "default"): 1},
        "attempt_wait_seconds": {("fine", "default"): 5, ("broken", "mail"): 4, ("hopeless", "default"): 1},
    }


def test_a_lost_attempt_is_counted_by_who_took_it_over_and_what_its_zombie_says_is_not(app, database, clock):
    run = app.enqueue("fine")
    zombie = dies(app, database, "zombie", run.id)
    survivor = StepWorker(database, app, "survivor")
    buried(survivor, clock)
    survivor.work()

    zombie.waiting = list(zombie.attempts.running())
    zombie.execute()
    zombie.commit()

    found = told(survivor.attempt_metrics.measures())
    assert found["attempts"] == {("fine", "default", "lost"): 1, ("fine", "default", "succeeded"): 1}
    assert found["runs"] == {("fine", "default", "succeeded"): 1}
    assert found["attempt_duration_seconds"] == {("fine", "default"): 1}
    assert told(zombie.attempt_metrics.measures())["attempts"] == {}
    assert zombie.committer.counts["stale"] == 1


def test_occurrences_are_counted_by_the_ticker_that_claimed_them_and_by_the_state_they_were_given(app, database, clock):
    app.job("* * * * *", name="plain", overlap="allow")(lambda: None)
    app.job("* * * * *", name="careful", overlap="skip")(lambda: None)
    app.deploy()
    both = [TickerMetrics(), TickerMetrics()]
    tickers = [
        ShardTicker(database, TICKER_SETTINGS, str(at), metrics=each.add_shard()) for at, each in enumerate(both)
    ]
    for _ in range(2):
        clock.advance(60)
        for each in tickers:
            each.tick()
    claimed: Counter[tuple[str, ...]] = Counter()
    for each in both:
        claimed.update(told(each.measures())["occurrences_claimed"])
    assert claimed == {("pending",): 3, ("skipped",): 1}
    assert sum(told(each.measures())["occurrence_lateness_seconds"][()] for each in both) == 3


def test_the_gauges_of_a_cluster_say_what_waits_and_what_is_dead(app, database, clock):
    app.enqueue("hopeless")
    app.enqueue("broken")
    worker = StepWorker(database, app, settings=BOTH)
    worker.beat()
    worker.work()
    app.enqueue("fine", delay=60)
    app.enqueue("fine")
    worker.fetch()
    for _ in range(3):
        app.enqueue("fine")
    app.enqueue("broken")
    found = told(Gauges(app.namespace).measures())
    oldest = found.pop("queue_oldest_waiting_seconds")
    assert oldest.keys() == {("default",), ("mail",)}
    assert found == {
        "cluster_up": {(): 1},
        "queue_waiting": {("default",): 3, ("mail",): 1},
        "queue_in_flight": {("default",): 1, ("mail",): 0},
        "delayed_runs": {(): 1},
        "dead_runs": {(): 1},
        # This one serves a single shard; a real one counts for all of them.
        "workers": {(): 1 / len(app.namespace.shards)},
        "tickers": {(): 0},
    }


def test_how_long_the_first_has_waited_does_not_count_those_in_flight(app, database, clock):
    # The clock of these tests stands still; that of the server, by which entries are named, does not.
    app.enqueue("fine")
    taken = StepWorker(database, app)
    taken.fetch()
    assert told(Gauges(app.namespace).measures())["queue_oldest_waiting_seconds"] == {("default",): 0.0}
    app.enqueue("fine")
    entry = database.client.xrevrange(database.keys.stream("default:5"), count=1)[0][0]
    clock.advance((int(entry.split(b"-")[0]) + 7000 - clock.now_ms()) / 1000)
    assert told(Gauges(app.namespace).measures())["queue_oldest_waiting_seconds"] == {("default",): 7.0}


def test_a_server_that_is_away_leaves_the_gauges_out_and_says_so(app):
    with break_next(app.namespace.shards[0], "read_all", lambda: NotConnected("away")):
        assert told(Gauges(app.namespace).measures()) == {"cluster_up": {(): 0}}


def test_who_asks_again_at_once_is_told_the_same_without_asking_the_server(app, monkeypatch):
    moment = [0.0]
    monkeypatch.setattr(metrics.time, "monotonic", lambda: moment[0])
    asked = Gauges(app.namespace)
    before = asked.measures()
    app.enqueue("fine")
    moment[0] += metrics.CACHE_S - 0.1
    assert asked.measures() is before
    moment[0] += 0.2
    assert told(asked.measures())["queue_waiting"] == {("default",): 1}


def test_a_spread_becomes_a_histogram_with_buckets_that_add_up():
    spread = Histogram()
    spread.add(0.001, 0.002, 7.0, 1e9)
    (found,) = Collector(
        [lambda: [Measure("histogram", "took_seconds", "How long.", ("task",), [(("t",), spread)])]]
    ).collect()
    values = {sample.labels.get("le", sample.name.rpartition("_")[2]): sample.value for sample in found.samples}
    assert (values["0.001"], values["0.0025"], values["5.0"], values["10.0"], values["+Inf"]) == (1, 2, 2, 3, 4)
    assert (values["count"], values["sum"]) == (4, spread.total_s)
    assert {sample.labels["task"] for sample in found.samples} == {"t"}


def test_the_page_about_observing_and_the_alerts_name_what_is_measured(app):
    worker = Worker(app.namespace, app.handlers, BOTH, metrics=AttemptMetrics())
    ticker = Ticker(app.namespace, TICKER_SETTINGS, TickerMetrics())
    app.enqueue("fine")
    measures = [*worker.measures(), *ticker.measures(), *Gauges(app.namespace).measures()]
    ends = {"counter": "_total", "gauge": "", "histogram": ""}
    measured = {f"{each.name}{ends[each.kind]}" for each in measures} | {"last_beat_age_seconds"}
    page = (DOCS / "how-to" / "observe.md").read_text().partition("## Metrics")[2].partition("## Traces")[0]
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == measured
    alerts = set(re.findall(r"jobistemer_(\w+)", (DOCS / "operations.md").read_text()))
    assert {name.removesuffix("_bucket") for name in alerts} <= measured


APP = """
from prometheus_client import Counter

from jobistemer import Jobistemer

app = Jobistemer()
sold = Counter("shop_sold", "Things sold, by \\\\ and {brace}.", ["what"])


@app.task
def sells(what: str) -> None:
    sold.labels(what).inc()


@app.task
def broken() -> None:
    raise ValueError("no")
"""


def samples(port: int) -> Counter[tuple[str, ...]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    found = connection.getresponse()
    assert found.headers["Content-Type"].startswith("text/plain; version=")
    counted: Counter[tuple[str, ...]] = Counter()
    for family in text_string_to_metric_families(found.read().decode()):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "process"}
            counted[sample.name, *labels.values()] += sample.value
    connection.close()
    return counted


@pytest.mark.process
def test_what_processes_answer_together_is_what_really_ran(tmp_path: Path):
    (tmp_path / "measured.py").write_text(APP)
    with running(VALKEY, tmp_path) as url:
        arguments = ("measured:app", "--processes", "2", "-c", "1", "--metrics", "cluster", "--health-port", "0")
        with Process(
            *arguments,
            folder=tmp_path,
            environment={"JOBISTEMER_URL": url},
            command=("-m", "jobistemer.cli.commands.worker"),
        ) as process:
            port = int(process.says(r"health endpoint: http://127\.0\.0\.1:(\d+)")[1])
            for _ in range(2):
                process.says("started: 1 slots")
            app = Jobistemer(url)
            runs = [app.enqueue("sells", {"what": 'a "}\\ {b'}) for _ in range(20)]
            runs += [app.enqueue("broken", max_retries=0) for _ in range(3)]
            wait_until(lambda: {run.state() for run in runs} == {"succeeded", "dead"}, "all have ended")
            # They are counted a moment after they are on record.
            wait_until(
                lambda: samples(port)["jobistemer_runs_total", "succeeded", "default", "sells"] == 20, "it is counted"
            )
            wait_until(
                lambda: samples(port)["jobistemer_runs_total", "dead", "default", "broken"] == 3, "it is counted"
            )
            found = samples(port)
            process.send(signal.SIGTERM)
            assert process.ends() == 0
    assert found["jobistemer_attempts_total", "default", "succeeded", "sells"] == 20
    assert found["jobistemer_attempts_total", "default", "failed", "broken"] == 3
    assert found["jobistemer_runs_total", "succeeded", "default", "sells"] == 20
    assert found["jobistemer_runs_total", "dead", "default", "broken"] == 3
    assert found["jobistemer_attempt_duration_seconds_count", "default", "sells"] == 20
    assert found["shop_sold_total", 'a "}\\ {b'] == 20
    # One of the two answers for the cluster.
    assert (found["jobistemer_cluster_up",], found["jobistemer_dead_runs",], found["jobistemer_workers",]) == (1, 3, 2)
    assert found["jobistemer_worker_slots",] == 2


def test_metrics_without_what_makes_them_are_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(ticker_command, ["--metrics", "process"])
    assert result.stderr == "Error: --metrics process needs --health-port, the port at which they are served\n"
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "jobistemer.contrib.prometheus", raising=False)
    monkeypatch.delattr(contrib, "prometheus", raising=False)
    monkeypatch.setattr("jobistemer.cli.commands.ticker.prepare_process", lambda _: None)
    result = CliRunner().invoke(ticker_command, ["--metrics", "process", "--health-port", "0"])
    assert "pip install 'jobistemer[prometheus]'" in result.stderr
