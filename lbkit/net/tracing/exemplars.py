"""Exemplars: for each bucket of a backend's latencies, the trace of a request that fell into it lately.

(OpenMetrics 1.0, "Exemplars".) They cannot be added up like counts: of several processes, the latest counts.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from lbkit.metrics.names import BOUNDS
from lbkit.net.tracing.context import Context

MOST_BACKENDS = 1000  # that have exemplars; addresses of a name may change for years


class Example(NamedTuple):
    """A request that was recorded."""

    trace_id: str
    span_id: str
    seconds: float  # its latency
    at: float  # when it ended, since 1970


class Exemplars:
    """The latest example of each bucket: at most one a backend and bound."""

    def __init__(self) -> None:
        self._found: dict[str, dict[int, tuple[Context, float, float]]] = {}

    def add(self, backend: str, seconds: float, context: Context) -> None:
        found = self._found.get(backend)
        if found is None:
            if len(self._found) >= MOST_BACKENDS:
                return
            found = self._found[backend] = {}
        found[bisect_left(BOUNDS, seconds)] = context, seconds, time.time()

    def report(self) -> dict[str, list[list[Any]]]:
        """Return plain data: for each backend, rows of the number of a bucket and an Example's fields."""
        return {
            backend: [[i, c.trace_id, c.span_id, seconds, at] for i, (c, seconds, at) in found.items()]
            for backend, found in self._found.items()
        }


def latest(reports: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, Example]]:
    """Return the latest example by backend and bucket of several processes' reports."""
    found: dict[str, dict[int, Example]] = {}
    for report in reports:
        for backend, rows in report.get("exemplars", {}).items():
            known = found.setdefault(backend, {})
            for number, *fields in rows:
                example = Example(*fields)
                if number not in known or known[number].at < example.at:
                    known[number] = example
    return found
