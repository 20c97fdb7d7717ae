"""Prometheus: the page `/metrics`, which the option `--metrics` adds to the health endpoint of a process.

    pip install 'jobistemer[prometheus]'

The page shows the default registry of prometheus_client, so metrics that an application registers there are on it as
well. An application that serves a page of its own adds `Collector([…])` to its registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as BaseCollector

from jobistemer.core.reads.metrics import BUCKET_BOUNDS_S, Histogram, Measure
from jobistemer.runtime.http_pages import Page, Response

PREFIX = "jobistemer_"

Source = Callable[[], Iterable[Measure]]


class Collector(BaseCollector):
    """A collector for prometheus_client that converts the measures of Jobistemer to metrics on each scrape."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Yield one metric for each measure."""
        return (_build_metric(measure) for source in self._sources for measure in source())

    def describe(self) -> Iterator[Metric]:
        """Yield nothing."""
        # Without this method the registry calls `collect` at registration, when the server may not be running yet.
        return iter(())


def page(sources: Sequence[Source]) -> Page:
    """Register sources of measures, and return the page with all metrics of the default registry."""
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


def _cumulate_buckets(histogram: Histogram) -> Iterator[tuple[str, float]]:
    # Prometheus counts into a bucket all values up to its bound, our histograms only those above the bound before.
    total = 0
    for bound, count in zip((*map(str, BUCKET_BOUNDS_S), "+Inf"), list(histogram.counts), strict=True):
        total += count
        yield bound, total
