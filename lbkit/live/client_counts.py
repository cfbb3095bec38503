"""What clients see of a run, as series of the metrics of `lbkit.metrics`."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf

from lbkit.live.load import STATUS, Row
from lbkit.metrics.names import BOUNDS, CLASSES, DURATION, NO_BACKEND, REQUESTS, code_class
from lbkit.metrics.store import Labels, Scrape, labels
from lbkit.result import good


class ClientCounts:
    """Counts what clients see: black-box monitoring, the same for every engine."""

    def __init__(self, servers: Iterable[str]) -> None:
        self.rows = 0  # that have been counted
        self._requests: Counter[Labels] = Counter(
            {labels(backend=name, code=code): 0 for name in (*servers, NO_BACKEND) for code in CLASSES}
        )
        self._buckets: dict[str, list[int]] = {}
        self._sums: Counter[Labels] = Counter()

    def add(self, rows: Sequence[Row]) -> None:
        """Count requests that have ended; the rows of a load."""
        self.rows += len(rows)
        for row in rows:
            arrival, _, end, backend = row[:4]
            name, status = backend or NO_BACKEND, row[STATUS]
            self._requests[labels(backend=name, code=code_class(status))] += 1
            if good(status):
                buckets = self._buckets.setdefault(name, [0] * (len(BOUNDS) + 1))
                buckets[bisect_left(BOUNDS, end - arrival)] += 1
                self._sums[labels(backend=name)] += end - arrival

    def scrape(self) -> Scrape:
        upto = {name: list(accumulate(counts)) for name, counts in self._buckets.items()}
        return {
            REQUESTS.name: dict(self._requests),
            f"{DURATION.name}_bucket": {
                labels(backend=name, le="+Inf" if bound == inf else f"{bound:g}"): float(count)
                for name, counts in upto.items()
                for bound, count in zip((*BOUNDS, inf), counts, strict=True)
            },
            f"{DURATION.name}_count": {labels(backend=name): counts[-1] for name, counts in upto.items()},
            f"{DURATION.name}_sum": dict(self._sums),
        }
