"""What a proxy has counted, in the text formats of Prometheus and OpenMetrics: the path /metrics.

The processes that serve only add whole numbers (`filters/stats.py`); the supervisor adds theirs up when it is
asked, and prometheus-client writes them. The names are those of `lbkit.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Exemplar

from lbkit.metrics import names
from lbkit.metrics.names import COUNTER, HISTOGRAM, Metric
from lbkit.net.admin.collected import collected
from lbkit.net.workers.control import Control, State
from lbkit.net.workers.samples import Sample

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def exposition(control: Control, state: State, accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type, in the format that `accept` asks for."""
    registry = CollectorRegistry()
    registry.register(_Collector(control, state))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector(Collector):
    def __init__(self, control: Control, state: State) -> None:
        self.control = control
        self.state = state

    def collect(self) -> Iterator[Family]:
        for metric, samples in collected(self.control, self.state):
            marked = map(self._with_exemplars, samples) if metric is names.DURATION else samples
            yield _family(metric, marked)

    def _with_exemplars(self, sample: Sample) -> Sample:
        """Add to the buckets of a backend a request whose trace is recorded; OpenMetrics shows them."""
        labels, (buckets, total) = sample
        examples = self.state.exemplars.get(labels[0], {})

        def exemplar(i: int) -> tuple[Exemplar, ...]:
            if (found := examples.get(i)) is None:
                return ()
            traced = {"trace_id": found.trace_id, "span_id": found.span_id}
            return (Exemplar(traced, found.seconds, round(found.at, 3)),)

        return labels, ([(*bucket, *exemplar(i)) for i, bucket in enumerate(buckets)], total)


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    if metric.kind == HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, (buckets, sum_value) in samples:
            histogram.add_metric(labels, buckets, sum_value)
        return histogram
    family = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    made = family(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made
