"""Pages of several processes as one page: each metric once, and each sample with the number of its process."""

from __future__ import annotations

import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.metrics_merger import merge_pages
from jobistemer.runtime.supervised_health import SupervisedHealth

PAGE = """\
# HELP shop_sold_total Things sold, by \\\\ and {brace}.
# TYPE shop_sold_total counter
shop_sold_total{what="a \\"}\\\\ {b"} 20.0
# HELP shop_sold_created Things sold, by \\\\ and {brace}.
# TYPE shop_sold_created gauge
shop_sold_created{what="a \\"}\\\\ {b"} 1.7e+09
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.5"} 1.0
took_seconds_bucket{le="+Inf"} 2.0
took_seconds_count 2.0
took_seconds_sum 3.0
# HELP idle Without a value that is known.
# TYPE idle gauge
idle NaN
"""


def merged() -> str:
    return merge_pages([("1", PAGE), ("2", PAGE)]).body.decode()


def test_each_metric_is_described_once_and_keeps_its_type():
    text = merged()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in PAGE.splitlines() if line.startswith("#")
    ]


def test_each_sample_is_there_once_for_each_process_with_the_value_it_had():
    found = [
        (sample.name, sample.labels, str(sample.value))
        for family in text_string_to_metric_families(merged())
        for sample in family.samples
    ]
    before = [
        (sample.name, sample.labels, str(sample.value))
        for family in text_string_to_metric_families(PAGE)
        for sample in family.samples
    ]
    expected = [(name, {**labels, "process": process}, value) for process in "12" for name, labels, value in before]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_a_metric_that_only_one_process_has_is_on_the_page_too():
    only = "# HELP dead_runs Dead runs.\n# TYPE dead_runs gauge\ndead_runs 3.0\n"
    assert merge_pages([("1", ""), ("2", only)]).body.decode().splitlines()[-1] == 'dead_runs{process="2"} 3.0'


def test_without_pages_it_is_empty():
    found = merge_pages([])
    assert (found.status, found.body) == (200, b"")
    assert found.content_type.startswith("text/plain; version=")


def test_a_supervisor_without_the_extra_is_refused_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "jobistemer.runtime.metrics_merger", raising=False)
    health = SupervisedHealth({"process 1": tmp_path / "1"}, Liveness())
    with pytest.raises(Misconfigured, match=r"pip install 'jobistemer\[prometheus\]'"):
        health.create_metrics_page()
