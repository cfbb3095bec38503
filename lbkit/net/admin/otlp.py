"""The metrics of a running proxy over HTTP to a collector of OpenTelemetry (OTLP), every few seconds.

The same metrics under the same names as /metrics. The SDK has no instrument for a histogram that was counted
elsewhere, so its data points are made here, and its exporter sends them. Needs the extra `tracing`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from lbkit import __version__
from lbkit.metrics import names
from lbkit.metrics.names import BOUNDS, COUNTER, HISTOGRAM, Metric
from lbkit.net.admin.collected import collected
from lbkit.net.tracing.exemplars import Example
from lbkit.net.tracing.otel import quiet, resource
from lbkit.net.workers.control import Control, State
from lbkit.net.workers.samples import Sample

UNITS = {"_seconds": "s", "_bytes": "By"}  # by the end of a name, without `_total`
SERVICE = "lbkit"
SINCE_START = AggregationTemporality.CUMULATIVE


async def push(control: Control, url: str, interval: float) -> None:
    """Send the metrics every `interval` seconds, until cancelled. A failure is said once."""
    quiet()
    exporter = OTLPMetricExporter(url, timeout=interval)
    proxy = resource(SERVICE)  # once, as it has a new id each time
    failing = False
    try:
        while True:
            await asyncio.sleep(interval)
            data = metrics_data(control, await control.read(), proxy)
            sent = await asyncio.to_thread(exporter.export, data) is MetricExportResult.SUCCESS
            if not (sent or failing):
                control.say(f"metrics cannot be sent to {url}; it is tried every {interval:g} s")
            failing = not sent
    finally:
        exporter.shutdown()


def metrics_data(control: Control, state: State, proxy: Resource) -> sdk.MetricsData:
    """Return all metrics of now, as those of `proxy`."""
    start, now = (int(seconds * 1e9) for seconds in (control.started, time.time()))

    def attributes(metric: Metric, labels: list[str]) -> dict[str, str]:
        return dict(zip(metric.labels, labels, strict=True))

    def numbers(metric: Metric, samples: Iterable[Sample]) -> list[sdk.NumberDataPoint]:
        return [
            sdk.NumberDataPoint(attributes(metric, labels), start, now, value) for labels, value in samples
        ]

    def histograms(metric: Metric, samples: Iterable[Sample]) -> Iterator[sdk.HistogramDataPoint]:
        for labels, (buckets, total) in samples:
            upto = [count for _, count in buckets]
            examples = state.exemplars.get(labels[0], {}) if metric is names.DURATION else {}
            yield sdk.HistogramDataPoint(
                attributes(metric, labels),
                start,
                now,
                count=upto[-1],
                sum=total,
                bucket_counts=[upto[0], *(after - before for before, after in pairwise(upto))],
                explicit_bounds=BOUNDS,
                min=None,  # type: ignore[arg-type] # not known, and optional in OTLP
                max=None,  # type: ignore[arg-type]
                exemplars=[_exemplar(example) for example in examples.values()],
            )

    def data(metric: Metric, samples: Iterable[Sample]) -> sdk.Sum | sdk.Gauge | sdk.Histogram:
        if metric.kind == HISTOGRAM:
            return sdk.Histogram(list(histograms(metric, samples)), SINCE_START)
        if metric.kind == COUNTER:
            return sdk.Sum(numbers(metric, samples), SINCE_START, is_monotonic=True)
        return sdk.Gauge(numbers(metric, samples))

    found = ((metric, list(samples)) for metric, samples in collected(control, state))
    metrics = [
        sdk.Metric(metric.name, metric.help, _unit(metric), data(metric, samples))
        for metric, samples in found
        if samples  # OTLP has no metric without them
    ]
    scope = sdk.ScopeMetrics(InstrumentationScope("lbkit", __version__), metrics, "")
    return sdk.MetricsData([sdk.ResourceMetrics(proxy, [scope], "")])


def _exemplar(example: Example) -> Exemplar:
    ids = int(example.span_id, 16), int(example.trace_id, 16)
    return Exemplar({}, example.seconds, int(example.at * 1e9), *ids)


def _unit(metric: Metric) -> str:
    base = metric.name.removesuffix("_total")
    return next((unit for end, unit in UNITS.items() if base.endswith(end)), "1")
