"""What a proxy has counted, in the text formats of Prometheus and OpenMetrics: the path /metrics.

The processes that serve only add whole numbers (`filters/stats.py`); the supervisor adds theirs up when it is
asked, and prometheus-client writes them. The names are those of `lbkit.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Exemplar

from lbkit.core.histogram import MICROSECONDS
from lbkit.metrics import names
from lbkit.metrics.names import COUNTER, HISTOGRAM, NO_BACKEND, Metric
from lbkit.net.workers.control import Control, State
from lbkit.net.workers.samples import OF_ROWS, OF_STATES, Sample, state_samples

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
        counts = self.state.counts
        rows = {**counts.get("backends", {}), NO_BACKEND: counts.get("elsewhere", {})}
        for metric, samples in OF_ROWS.items():
            found = (sample for name, row in rows.items() for sample in samples(name, row))
            yield _family(metric, map(self._with_exemplars, found) if metric is names.DURATION else found)
        for metric in OF_STATES:
            yield _family(metric, state_samples(metric, self.state.backends.values()))
        yield _family(names.DECISIONS, (([what], n) for what, n in counts.get("attempts", {}).items()))
        yield _family(
            names.EVENTS,
            (([by, event], n) for by, told in counts.get("filters", {}).items() for event, n in told.items()),
        )
        for metric, value_of in OF_ALL.items():
            yield _family(metric, [([], value_of(self.control, self.state))])

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


def _family(metric: Metric, samples: Any) -> Family:
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


OF_ALL: dict[Metric, Callable[[Control, State], float]] = {
    names.CLIENTS: lambda control, state: _sum("clients", state),
    names.ACCEPTED: lambda control, state: state.counts.get("accepted", 0),
    names.PROCESSES: lambda control, state: len(state.serving),
    names.CPU: lambda control, state: state.counts.get("cpu_micros", 0) / MICROSECONDS,
    names.MEMORY: lambda control, state: _sum("memory", state),
    names.STARTED: lambda control, state: control.started,
}


def _sum(key: str, state: State) -> float:
    return float(sum(report[key] for report in (*state.serving, *state.retiring)))
