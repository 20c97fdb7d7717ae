"""Prometheus: the page `/metrics`, which `--metrics` adds to the endpoint of a process.

    pip install 'jobistemer[prometheus]'

It shows the default registry of prometheus_client, so what an application measures there is on the same page. An
application that has a page of its own adds `Collector([…])` to its registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as BaseCollector

from jobistemer.core.reads.metrics import BUCKET_BOUNDS_S, Histogram, Measure
from jobistemer.runtime.http_endpoint import Page, Response

PREFIX = "jobistemer_"

Source = Callable[[], Iterable[Measure]]


class Collector(BaseCollector):
    """Makes metrics of measures when they are asked for."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """One metric for each measure."""
        return (_build_metric(measure) for source in self._sources for measure in source())

    def describe(self) -> Iterator[Metric]:
        """Nothing before it is asked: a server need not be there yet when a process starts."""
        return iter(())


def page(sources: Sequence[Source]) -> Page:
    """The page of all that the default registry knows, and of these sources."""
    REGISTRY.register(Collector(sources))
    return lambda: Response(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)


def _build_metric(measure: Measure) -> Metric:
    name = PREFIX + measure.name
    if measure.kind == "histogram":
        histogram = HistogramMetricFamily(name, measure.what, labels=measure.labels)
        for labels, value in measure.values:
            if isinstance(value, Histogram):
                histogram.add_metric(labels, list(_cumulate_buckets(value)), value.total_s)
        return histogram
    kind = CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily
    family = kind(name, measure.what, labels=measure.labels)
    for labels, value in measure.values:
        if not isinstance(value, Histogram):
            family.add_metric(labels, value)
    return family


def _cumulate_buckets(spread: Histogram) -> Iterator[tuple[str, float]]:
    counted = 0
    for bound, count in zip((*map(str, BUCKET_BOUNDS_S), "+Inf"), list(spread.counts), strict=True):
        counted += count
        yield bound, counted
