"""A scrape: what a /metrics says, as values by name and labels."""

from __future__ import annotations

from lbkit.metrics.store import Labels, labels


def read_exposition(text: str) -> dict[str, dict[Labels, float]]:
    """Return the values of all series in a text of Prometheus' format, version 0.0.4.

    Needs prometheus-client (extra `metrics`). Raises ValueError for another text."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[labels(**sample.labels)] = sample.value
    return found
