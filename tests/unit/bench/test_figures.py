"""The figures of a measurement, their report, and the warnings of the probe; no process runs here."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from jobistemer.bench import runner
from jobistemer.bench.environment import ServerProbe
from jobistemer.bench.report import render_report
from jobistemer.bench.results import BenchReport, Throughput, micros_per_run, summarize_lateness
from jobistemer.core.errors import Misconfigured, ServerRefused
from jobistemer.store.namespace import Namespace

SERVER = {
    "url": "redis://:***@shop:6379/0",
    "server": "valkey",
    "version": "9.1.2",
    "mode": "standalone",
    "appendonly": True,
    "round_trip_p50_ms": 0.04,
    "round_trip_p99_ms": 0.1,
}
MACHINE = {
    "processor": "Abacus [red]",
    "cores": 2,
    "load": 0.25,
    "system": "Linux 6.1",
    "python": "3.11.7",
    "jobistemer": "1.0",
    "redis-py": "8.1",
    "hiredis": "",
}
REPORT = BenchReport(
    took_s=18.2,
    machine=MACHINE,
    server=SERVER,
    warnings=["the server is not on this machine: its network is in every figure"],
    throughput=[Throughput("drain, plain", 90_000, 45_678, worker_us=9.25, server_us=None)],
    delays=[
        summarize_lateness("latency, idle", 3, [0.5, 0.25]),
        summarize_lateness("100 jobs due every second", 400, []),
    ],
)


class Server:
    """A shard whose server answers INFO with these fields, one after the other, or refuses it."""

    def __init__(self, *answers):
        self._answers = list(answers)

    def ask(self, command, *_):
        if command == "PING":
            return b"PONG"
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if answer is None:
            raise ServerRefused("NOPERM")
        return answer


def probe_of(*answers, url="redis://localhost:6379/0"):
    namespace = Namespace(url)
    namespace._shards = [Server(*answers)]
    return ServerProbe(namespace)


def info(user=0.0, system=0.0, **more):
    return {"run_id": "a", "used_cpu_user": user, "used_cpu_sys": system, **more}


def test_percentiles_are_of_the_events_seen_and_missing_events_show():
    found = summarize_lateness("late", 101, [float(ms) for ms in range(100, 0, -1)], server_us=1.5)
    assert msgspec.structs.asdict(found) == {
        "work": "late",
        "expected": 101,
        "seen": 100,
        "p50_ms": 51.0,
        "p99_ms": 100.0,
        "max_ms": 100.0,
        "ticker_us": None,
        "server_us": 1.5,
    }
    assert summarize_lateness("late", 5, []).p50_ms is None


def test_a_cost_that_is_not_known_is_none():
    assert [micros_per_run(0.5, 1_000), micros_per_run(None, 1_000), micros_per_run(0.5, 0)] == [500.0, None, None]


def test_the_report_has_every_figure_and_a_dash_for_an_unknown_one():
    console = Console(width=300, highlight=False, markup=False, force_terminal=False)
    with console.capture() as captured:
        console.print(render_report(REPORT))
    lines = [line.split() for line in captured.get().splitlines()]
    assert ["drain,", "plain", "45,678", "–", "9.2", "–", "90,000"] in lines
    assert ["latency,", "idle", "0.50", "0.50", "0.50", "2", "of", "3", "–", "–"] in lines
    assert ["100", "jobs", "due", "every", "second", "–", "–", "–", "0", "of", "400", "–", "–"] in lines
    assert "warning: the server is not on this machine: its network is in every figure" in captured.get()
    assert "Abacus [red], 2 cores, load 0.25, Linux 6.1, Python 3.11.7, jobistemer 1.0, redis-py 8.1 " in captured.get()
    assert "redis://:***@shop:6379/0: valkey 9.1.2, standalone, appendonly yes, round trip 0.04 ms" in captured.get()


def test_a_server_without_info_is_measured_all_the_same():
    probe = probe_of(None)
    assert probe.cpu_seconds() is None
    assert probe.cpu_seconds_since(1.0) is None
    assert probe.find_warnings(0.0, 2) == ["this user may not run INFO: what the server spends is not known"]
    assert probe.describe()["server"] == "unknown"
    assert probe.limit_runs(100_000) == 100_000


def test_a_busy_server_a_busy_machine_and_a_network_are_warned_of(monkeypatch):
    monkeypatch.setattr("jobistemer.bench.environment.LOAD_WINDOW_S", 0.01)
    found = probe_of(info(), info(1.0), info(3.0), url="rediss://shop:6379/0").find_warnings(1.5, 2)
    assert [each.partition(":")[0] for each in found] == [
        "the server is not on this machine",
        "the server is busy with something else",
        "this machine is busy with something else",
    ]
    assert probe_of(info(), info(1.0), info(1.0)).find_warnings(0.5, 2) == []


def test_a_server_is_local_when_nothing_in_its_url_is_elsewhere():
    local = {
        "redis://localhost:6379/0": True,
        "redis://ana:secret@127.0.0.1:6379/0": True,
        "redis://[::1]:6379/0": True,
        "unix:///run/redis.sock": True,
        "redis+cluster://127.0.0.1:7000,10.0.0.2:7000": False,
        "rediss://shop.example:6379/0": False,
    }
    assert {url: probe_of(None, url=url).is_local() for url in local} == local


def test_runs_take_at_most_half_of_the_memory_that_the_server_has_left():
    assert probe_of(info(maxmemory=4_000_000, used_memory=1_000_000)).limit_runs(100_000) == 1_000
    assert probe_of(info(maxmemory=0, used_memory=1_000_000)).limit_runs(100_000) == 100_000


def test_a_server_that_has_hardly_any_room_left_is_not_filled(monkeypatch):
    monkeypatch.setattr(runner, "ServerProbe", lambda _: probe_of(info(maxmemory=30_000_000, used_memory=1_000_000)))
    monkeypatch.setattr("jobistemer.bench.environment.LOAD_WINDOW_S", 0.01)
    with pytest.raises(Misconfigured, match="leaves too little for a measurement, which needs about 50 MiB"):
        runner.run_benchmark("fake://full", "bench", runner.BenchOptions(1, 1), lambda _: None)
