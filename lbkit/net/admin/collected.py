"""All metrics of a running proxy with their samples, for all that write them: Prometheus' text, OTLP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lbkit.core.histogram import MICROSECONDS
from lbkit.metrics import names
from lbkit.metrics.names import NO_BACKEND, Metric
from lbkit.net.workers.control import Control, State
from lbkit.net.workers.samples import OF_ROWS, OF_STATES, Sample, state_samples


def collected(control: Control, state: State) -> Iterator[tuple[Metric, Iterable[Sample]]]:
    """Yield each metric with its samples: the values of its labels and a value; for a histogram, its growing
    buckets and their sum."""
    counts = state.counts
    rows = {**counts.get("backends", {}), NO_BACKEND: counts.get("elsewhere", {})}
    for metric, samples in OF_ROWS.items():
        yield metric, [sample for name, row in rows.items() for sample in samples(name, row)]
    for metric in OF_STATES:
        yield metric, state_samples(metric, state.backends.values())
    yield names.DECISIONS, [([what], n) for what, n in counts.get("attempts", {}).items()]
    told = counts.get("filters", {}).items()
    yield names.EVENTS, [([by, event], n) for by, events in told for event, n in events.items()]
    for metric, value_of in OF_ALL.items():
        yield metric, [([], value_of(control, state))]


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
