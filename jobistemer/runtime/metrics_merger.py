"""Merging of Prometheus pages. It needs the extra `prometheus`, so it is imported only where metrics are asked for."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from jobistemer.runtime.http_pages import Response


class _MergedPages(Collector):
    """The metrics of several pages, each metric once, for `generate_latest`."""

    def __init__(self, pages: Iterable[tuple[str, str]]) -> None:
        self._metrics: dict[str, Metric] = {}
        for process, text in pages:
            for metric in text_string_to_metric_families(text):
                merged = self._metrics.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                # Without the label two processes would have equal samples, and Prometheus refuses such a page.
                merged.samples += [
                    sample._replace(labels={**sample.labels, "process": process}) for sample in metric.samples
                ]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics in the order in which the pages name them first."""
        return self._metrics.values()


def merge_pages(pages: Iterable[tuple[str, str]]) -> Response:
    """Merge pages of several processes into one; each sample gets the label `process`.

    pages: the number of each process and its page in the text format. Raises ValueError when a page is not in it.
    """
    return Response(200, generate_latest(_MergedPages(pages)), CONTENT_TYPE_LATEST)
